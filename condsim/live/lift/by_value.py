"""A mixture of experts that is found by what the tensors of its forward hold.

Code that sorts, masks or counts rows is written in too many ways to be read call by call. Whatever
it does, the experts run rows of one tensor, one tensor says which, another one holds their weights,
and the weighted sum of the experts' results comes out. All four are on a tape of the forward, where
they are looked for by value.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from condsim.live.equality import close
from condsim.live.lift.meanings import NotLiftable
from condsim.live.lift.nodes import Node, Ref
from condsim.live.lift.tape import Tape, tensor_of


@dataclass(frozen=True)
class Found:
    """A mixture on a tape.

    decision: the node that gives ids [..., k], and slots: their k. rows: what the experts take
    their rows from, [..., hidden]. weights: [..., k], or [..., experts] where they are of every
    expert; None where the results are added up as they are. result: the sum, [..., hidden].
    of_units: whether the rows are whole images or sequences, [units, ...].
    """

    decision: Node
    slots: int
    rows: Ref
    weights: Ref | None
    result: Ref
    of_units: bool = False

    def taken_from(self, tensor: torch.Tensor) -> torch.Tensor:
        """What the experts take their rows from, as rows."""
        return tensor if self.of_units else tensor.flatten(0, -2)

    def weigh_all(self, tape: Tape) -> bool:
        """Whether the weights are those of every expert, and not of the chosen ones."""
        if self.weights is None:
            return False
        return tensor_of(tape, self.weights).numel() != self.decision.decided().numel()


def find_mixture(tape: Tape, experts: Sequence[nn.Module]) -> Found:
    """The mixture of some experts. Raises NotLiftable where some part of it is not there."""
    try:
        return _find(tape, experts, of_units=False)
    except NotLiftable as error:
        try:
            return _find(tape, experts, of_units=True)
        except NotLiftable:
            raise error from None


def _find(tape: Tape, experts: Sequence[nn.Module], of_units: bool) -> Found:
    """The mixture, whose rows are vectors or whole units. Raises NotLiftable for none."""
    calls = _calls(tape, experts)
    given = [_rows_given(tape, of_expert, of_units) for of_expert in calls]
    numbers = [node.number for of_expert in calls for node in of_expert]
    first_call, last_call = min(numbers), max(numbers)
    for decision in tape.nodes:
        if decision.branches != len(experts):
            continue
        chosen = Chosen.of(decision)
        rows = _source(tape, chosen, given, first_call, of_units)
        if rows is None:
            continue
        results = results_of(chosen, tensor_of(tape, rows), experts, of_units)
        for weights in possible_weights(tape, chosen, last_call):
            total = total_of(tape, chosen, results, weights)
            result = holding(tape, total, rows, last_call)
            if result is not None:
                return Found(decision, chosen.ids.shape[1], rows, weights, result, of_units)
        raise NotLiftable("no tensor holds the weighted sum of its experts' results")
    raise NotLiftable("its experts do not run just the rows that a decision sends them")


@dataclass(frozen=True)
class Chosen:
    """What a decision chose. ids: [rows, k]. branches: experts that there are."""

    ids: torch.Tensor
    branches: int

    @classmethod
    def of(cls, decision: Node) -> Chosen:
        """What a node decided."""
        assert decision.fork is not None
        ids = decision.decided().reshape(-1, decision.fork.slots or 1)
        return cls(ids, decision.branches)

    @property
    def rows(self) -> int:
        """How many rows were sent somewhere."""
        return len(self.ids)

    def rows_of(self, expert: int) -> torch.Tensor:
        """Which rows an expert takes, bool [rows]."""
        return (self.ids == expert).any(1)


def _calls(tape: Tape, experts: Sequence[nn.Module]) -> list[list[Node]]:
    """The calls of each expert. Raises NotLiftable where there is none, or with more than rows."""
    calls = []
    for expert in experts:
        of_expert = [node for node in tape.nodes if node.module is expert]
        if not of_expert:
            raise NotLiftable("it calls some of its experts in no way that can be seen")
        if any(node.kwargs or len(node.args) != 1 for node in of_expert):
            raise NotLiftable("it gives its experts more than rows")
        calls.append(of_expert)
    return calls


def _rows_given(tape: Tape, calls: Sequence[Node], of_units: bool) -> Counter[bytes]:
    """The rows that an expert was given in all its calls, and how often each."""
    given: Counter[bytes] = Counter()
    for node in calls:
        (argument,) = node.args
        tensor = tensor_of(tape, argument) if isinstance(argument, Ref) else argument
        given.update(_row_bytes(tensor, of_units))
    return given


def _row_bytes(tensor: torch.Tensor, of_units: bool) -> list[bytes]:
    """The rows [..., hidden] of a tensor, or its units, as bytes."""
    flat = tensor.flatten(1) if of_units else tensor.reshape(-1, tensor.shape[-1])
    rows = flat.detach().contiguous()
    return [row.tobytes() for row in rows.view(torch.uint8).numpy()]


def _tensors(tape: Tape) -> Iterator[tuple[Ref, torch.Tensor]]:
    """Every tensor of numbers on a tape."""
    for node in tape.nodes:
        for ref in node.results:
            leaf = tensor_of(tape, ref)
            if leaf.is_floating_point() and leaf.ndim:
                yield ref, leaf


def _source(
    tape: Tape,
    chosen: Chosen,
    given: Sequence[Counter[bytes]],
    first_call: int,
    of_units: bool,
) -> Ref | None:
    """The last tensor before the experts' calls whose rows they take as they were chosen."""
    found = None
    for ref, tensor in _tensors(tape):
        leading = tensor.shape[:1] if of_units else tensor.shape[:-1]
        has_rows = tensor.ndim > 1 + of_units and leading.numel() == chosen.rows
        if ref.node > first_call or not has_rows:
            continue
        rows = _row_bytes(tensor, of_units)
        if len(rows[0]) == _bytes_a_row(given) and _are_taken(rows, chosen, given):
            found = ref
    return found


def _bytes_a_row(given: Sequence[Counter[bytes]]) -> int:
    """Bytes of a row that an expert takes; 0 where none takes any."""
    return max((len(row) for rows in given for row in rows), default=0)


def _are_taken(rows: Sequence[bytes], chosen: Chosen, given: Sequence[Counter[bytes]]) -> bool:
    """Whether each expert was given the rows that were chosen for it."""
    for expert, of_expert in enumerate(given):
        numbers = chosen.rows_of(expert).nonzero().flatten().tolist()
        if Counter(rows[number] for number in numbers) != of_expert:
            return False
    return True


def tensors_before(tape: Tape, node: int, rows: int) -> Iterator[Ref]:
    """Yield unlike tensors [..., hidden] of so many rows before a node, the last one first."""
    seen: list[torch.Tensor] = []
    for ref, tensor in reversed(list(_tensors(tape))):
        has_rows = tensor.ndim > 1 and tensor.shape[:-1].numel() == rows
        if ref.node >= node or not has_rows:
            continue
        flat = tensor.detach().reshape(rows, -1)
        if not any(torch.equal(flat, other) for other in seen if other.shape == flat.shape):
            seen.append(flat)
            yield ref


def results_of(
    chosen: Chosen, rows: torch.Tensor, experts: Sequence[nn.Module], of_units: bool = False
) -> torch.Tensor:
    """What the experts give for each choice of each row, [rows, k, hidden].

    of_units: the rows are whole units, whose results have the units' shape.
    """
    flat = rows.detach() if of_units else rows.detach().reshape(chosen.rows, -1)
    results: torch.Tensor | None = None
    with torch.no_grad():
        for number, expert in enumerate(experts):
            taken = chosen.rows_of(number)
            given = expert(flat[taken])
            if results is None:
                results = given.new_zeros((*chosen.ids.shape, *given.shape[1:]))
            results[chosen.ids == number] = given
    assert results is not None
    if of_units and results.shape[2:] != flat.shape[1:]:
        raise NotLiftable("its experts give units of another shape than those they take")
    return results


def possible_weights(tape: Tape, chosen: Chosen, last_call: int) -> Iterator[Ref | None]:
    """Tensors that may hold the weights, and last None: each counts in full."""
    of_choices, of_all = chosen.ids.numel(), chosen.rows * chosen.branches
    for ref, tensor in _tensors(tape):
        has_weights = tensor.numel() in (of_choices, of_all)
        if has_weights and ref.node < last_call and not tape.nodes[ref.node].is_input:
            yield ref
    yield None


def total_of(
    tape: Tape, chosen: Chosen, results: torch.Tensor, weights: Ref | None
) -> torch.Tensor:
    """The weighted sum of the experts' results, [rows, hidden]."""
    if weights is None:
        return results.sum(1)
    values = tensor_of(tape, weights).detach().reshape(chosen.rows, -1)
    if values.shape != chosen.ids.shape:
        values = values.gather(1, chosen.ids)
    weights_of = values.reshape(*values.shape, *[1] * (results.ndim - 2))
    weighted: torch.Tensor = results * weights_of
    return weighted.sum(1).to(results.dtype)


def holding(tape: Tape, total: torch.Tensor, rows: Ref, last_call: int) -> Ref | None:
    """The last tensor that holds a sum [rows, hidden]; one of the shape of `rows` if there is any.

    A tensor that is written into is the same one at each of these calls: the last is meant.
    """
    found, alike = None, None
    shape = tensor_of(tape, rows).shape[:-1]
    for ref, tensor in _tensors(tape):
        if ref.node < last_call or tensor.numel() != total.numel():
            continue
        if not close([tensor.detach().reshape(total.shape)], [total.to(tensor.dtype)]):
            continue
        found = ref
        if tensor.shape[:-1] == shape:
            alike = ref
    return alike or found
