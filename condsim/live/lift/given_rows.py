"""Rows that code gives to each expert by numbers: those of a decision but some that are dropped, or
those that an expert picked by itself. They are found by value, at the experts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from condsim.live.equality import close
from condsim.live.lift.by_value import tensors_before
from condsim.live.lift.meanings import NotLiftable
from condsim.live.lift.nodes import Node, Ref
from condsim.live.lift.ranked_tokens import made_of
from condsim.live.lift.tape import Tape, tensor_of

CHOICES = {"argmax", "max", "topk"}


@dataclass(frozen=True)
class OfExpert:
    """What one expert is given. index: numbers of its rows, int64, or a mask of them, bool [rows].
    weights: of them, float, None where its result counts in full."""

    index: Ref
    weights: Ref | None

    def numbers(self, tape: Tape) -> torch.Tensor:
        """The numbers of its rows, int64 [rows of it]."""
        return numbers_of(tensor_of(tape, self.index))

    def shares(self, tape: Tape, rows: int) -> torch.Tensor:
        """What the expert adds to each row, [rows]: 0 for a row that it is not given."""
        index = self.numbers(tape)
        shares = torch.zeros(rows, device=index.device)
        weights = torch.ones(len(index), device=index.device)
        if self.weights is not None:
            weights = tensor_of(tape, self.weights).detach().reshape(-1).float()
        return shares.index_copy(0, index, weights)


def numbers_of(index: torch.Tensor) -> torch.Tensor:
    """Numbers of rows as they are, or those that a mask is true for."""
    flat = index.reshape(-1)
    return flat.nonzero().flatten() if flat.dtype == torch.bool else flat


@dataclass(frozen=True)
class GivenRows:
    """A mixture on a tape.

    experts: what each is given. source: the rows that they take theirs from. result: the sum.
    keeps: whether rows that no expert is given keep what they were. slots: experts that a row takes
    by the decision; 0 where experts pick their rows.
    """

    experts: tuple[OfExpert, ...]
    source: Ref
    result: Ref
    keeps: bool
    slots: int

    def shares(self, tape: Tape) -> torch.Tensor:
        """What each expert adds to each row, [rows, experts]."""
        source = tensor_of(tape, self.source)
        rows = source.shape[:-1].numel()
        return torch.stack([expert.shares(tape, rows) for expert in self.experts], 1)


def find_given_rows(tape: Tape, experts: Sequence[nn.Module]) -> GivenRows:
    """The rows that code gives to experts. Raises NotLiftable where that cannot be seen."""
    calls = [_only_call(tape, expert) for expert in experts]
    numbers = [node.number for node in calls]
    some = max(calls, key=lambda node: _given(tape, node).numel())
    for source in _sources(tape, some, min(numbers)):
        found = [_of_expert(tape, node, source) for node in calls]
        of_each = tuple(one for one in found if one is not None)
        if len(of_each) < len(calls):
            continue
        total, given = _total(tape, calls, of_each, source)
        place = _result(tape, total, given, source, max(numbers))
        if place is not None:
            result, keeps = place
            return GivenRows(of_each, source, result, keeps, _slots(tape, len(experts)))
    raise NotLiftable("which rows it gives to each expert cannot be seen")


def _only_call(tape: Tape, expert: nn.Module) -> Node:
    calls = [node for node in tape.nodes if node.module is expert]
    if len(calls) != 1 or not _takes_and_gives_one(calls[0]):
        raise NotLiftable("it does not call each of its experts once, with rows")
    if not isinstance(calls[0].args[0], Ref):
        raise NotLiftable("it gives its experts what no call made")
    return calls[0]


def _takes_and_gives_one(call: Node) -> bool:
    """Whether a call has one argument and one result."""
    return len(call.args) == 1 and not call.kwargs and call.single


def _given(tape: Tape, call: Node) -> torch.Tensor:
    """The rows of a call [rows, hidden]."""
    tensor = tensor_of(tape, call.args[0]).detach()
    return tensor.reshape(-1, tensor.shape[-1])


def _sources(tape: Tape, call: Node, first: int) -> Iterator[Ref]:
    """Yield tensors that a call's rows may be taken from, the last one first."""
    width = _given(tape, call).shape[-1]
    counts = set()
    for node in tape.nodes[:first]:
        for ref in node.results:
            tensor = tensor_of(tape, ref)
            if tensor.ndim > 1 and tensor.shape[-1] == width and tensor.is_floating_point():
                counts.add(tensor.shape[:-1].numel())
    for rows in sorted(counts, reverse=True):
        for ref in tensors_before(tape, first, rows):
            if tensor_of(tape, ref).shape[-1] == width:
                yield ref


def _of_expert(tape: Tape, call: Node, source: Ref) -> OfExpert | None:
    """What an expert is given of some rows; None where no numbers say it."""
    rows, given = _flat(tape, source), _given(tape, call)
    for number in sorted(made_of(tape, Ref(call.number)), reverse=True):
        for ref in tape.nodes[number].results:
            if _picks(tensor_of(tape, ref), rows, given):
                return OfExpert(ref, _weights(tape, call))
    return None


def _picks(index: torch.Tensor, rows: torch.Tensor, given: torch.Tensor) -> bool:
    """Whether numbers, or a mask, are those of the rows that were given, in their order."""
    is_mask = index.dtype == torch.bool and index.numel() == len(rows)
    if not is_mask and index.dtype != torch.int64:
        return False
    flat = numbers_of(index)
    if len(flat) != len(given):
        return False
    in_range = ((flat >= 0) & (flat < len(rows))).all()
    return bool(in_range) and torch.equal(rows[flat], given)


def _flat(tape: Tape, ref: Ref) -> torch.Tensor:
    tensor = tensor_of(tape, ref).detach()
    return tensor.reshape(-1, tensor.shape[-1])


def _weights(tape: Tape, call: Node) -> Ref | None:
    """The weights that a call's result is multiplied by; None where there are none."""
    result = call.out.detach()
    result = result.reshape(-1, result.shape[-1])
    for node in tape.nodes[call.number + 1 :]:
        reads_it = Ref(call.number) in node.read
        if not reads_it or not node.single or node.name not in ("mul", "rmul"):
            continue
        for ref in node.read:
            if _are_weights(tensor_of(tape, ref), result, node.out):
                return ref
    return None


def _are_weights(tensor: torch.Tensor, rows: torch.Tensor, product: torch.Tensor) -> bool:
    """Whether a product is some rows, each times its number of a tensor."""
    if not tensor.is_floating_point() or tensor.numel() != len(rows):
        return False
    weighed = rows * tensor.detach().reshape(-1, 1)
    return close([product.detach().reshape(weighed.shape)], [weighed])


def _total(
    tape: Tape, calls: Sequence[Node], experts: Sequence[OfExpert], source: Ref
) -> tuple[torch.Tensor, torch.Tensor]:
    """The weighted sum [rows, hidden], and which rows some expert is given, bool [rows]."""
    rows = _flat(tape, source)
    given = torch.zeros(len(rows), dtype=torch.bool)
    total = torch.zeros(len(rows), calls[0].out.shape[-1], dtype=rows.dtype)
    for call, expert in zip(calls, experts, strict=True):
        result = call.out.detach().reshape(-1, call.out.shape[-1])
        index = expert.numbers(tape)
        if expert.weights is not None:
            result = result * tensor_of(tape, expert.weights).detach().reshape(-1, 1)
        total.index_add_(0, index, result)
        given[index] = True
    return total, given


def _result(
    tape: Tape, total: torch.Tensor, given: torch.Tensor, source: Ref, last: int
) -> tuple[Ref, bool] | None:
    """(the last tensor that holds a sum, whether other rows keep what they were) or None."""
    rows = _flat(tape, source)
    found: tuple[Ref, bool] | None = None
    for node in tape.nodes[last:]:
        for ref in node.results:
            tensor = tensor_of(tape, ref)
            if not tensor.is_floating_point() or tensor.numel() != total.numel():
                continue
            flat = tensor.detach().reshape(total.shape)
            if not close([flat[given]], [total[given]]):
                continue
            if close([flat[~given]], [total[~given]]):
                found = (ref, False)
            elif rows.shape == flat.shape and torch.equal(flat[~given], rows[~given]):
                found = (ref, True)
    return found


def _slots(tape: Tape, experts: int) -> int:
    """Experts that each row chooses; 0 where nobody chooses among them for a row."""
    for node in tape.nodes:
        refs = [ref for ref in node.read if tensor_of(tape, ref).ndim > 1]
        if node.name not in CHOICES or not refs:
            continue
        scores = tensor_of(tape, refs[0])
        ids = node.out if node.single else node.out[-1]
        of_rows = scores.shape[:-1].numel()
        is_for_rows = ids.shape[: scores.ndim - 1] == scores.shape[:-1]
        if scores.shape[-1] == experts and is_for_rows and ids.numel() >= of_rows:
            return int(ids.numel() // of_rows)
    return 0
