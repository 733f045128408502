"""A mixture whose code multiplies as many rows in each expert, whatever is decided.

One-hot tensors send rows by products (GShard), with a capacity or without, or all experts run and
are weighed by zeros. Somewhere such a forward holds a tensor [rows, experts, ...] that is zero
where an expert takes no part, and its result is the sum that this tensor weighs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import nn

from condsim.live.execution import current
from condsim.live.lift.actions import Decided, RouteRows
from condsim.live.lift.by_value import Found, holding, tensors_before
from condsim.live.lift.environment import (
    Action,
    Environment,
    Run,
    Variable,
    forgetting,
    routed_variable,
    tensor_variable,
)
from condsim.live.lift.meanings import NotLiftable
from condsim.live.lift.mixture import Calls, LiftedMixture
from condsim.live.lift.nodes import Fork, Node, Ref
from condsim.live.lift.sites import LiftedSite
from condsim.live.lift.stacked_by_value import Stacks, forms
from condsim.live.lift.tape import Tape, tensor_of
from condsim.live.lift.unseen_run import unseen_run
from condsim.strategies.whole import DISPATCHED


@dataclass(frozen=True)
class Shares:
    """What each expert adds to each row. values: [rows, experts], 0 where it takes no part."""

    ref: Ref
    values: torch.Tensor

    @property
    def slots(self) -> int:
        """Experts of the row that has most of them."""
        return int((self.values != 0).sum(1).max())


def shares_of(tensor: torch.Tensor, experts: int) -> torch.Tensor:
    """The weights [rows, experts] that a tensor [..., experts, places] or [..., experts] holds."""
    values = tensor.detach()
    if not values.is_floating_point():
        values = values.float()
    if values.shape[-1] == experts:
        return values.reshape(-1, experts)
    return values.flatten(0, -3).sum(-1)


def possible_shares(tape: Tape, experts: int, last: int) -> Iterator[Shares]:
    """Yield the tensors before a node that may say what each expert adds, the last one first."""
    for node in reversed(tape.nodes[:last]):
        for ref in node.results:
            tensor = tensor_of(tape, ref)
            if node.is_input or not _has_experts(tensor, experts):
                continue
            values = shares_of(tensor, experts)
            taking = (values != 0).sum(1)
            if 0 < int(taking.max()) < experts:
                yield Shares(ref, values)


def _has_experts(tensor: torch.Tensor, experts: int) -> bool:
    """Whether a tensor is [..., experts] or [rows, ..., experts, places]."""
    if tensor.ndim < 2 or tensor.dtype == torch.bool or tensor.is_complex():
        return False
    if tensor.shape[-1] == experts:
        return True
    return tensor.ndim > 2 and tensor.shape[-2] == experts


def find_dispatch(tape: Tape, experts: Sequence[nn.Module]) -> Found:
    """The mixture of some experts. Raises NotLiftable where nothing holds what they add up to."""
    calls = [node.number for node in tape.nodes if node.module in experts]
    first = min(calls, default=len(tape.nodes))
    for shares in possible_shares(tape, len(experts), len(tape.nodes)):
        for rows in tensors_before(tape, first, len(shares.values)):
            found = _found(tape, shares, rows, experts)
            if found is not None:
                return found
    raise NotLiftable("no tensor weighs its experts for each row, with zeros for most of them")


def find_stacked_dispatch(tape: Tape, stacks: Stacks) -> tuple[list[nn.Module], Found]:
    """The same of stacked parameters, with the experts that they are."""
    for shares in possible_shares(tape, stacks.experts, len(tape.nodes)):
        for rows in tensors_before(tape, len(tape.nodes), len(shares.values)):
            for form in forms(stacks, tensor_of(tape, rows).shape[-1]):
                experts = form.experts()
                found = _found(tape, shares, rows, experts)
                if found is not None:
                    return experts, found
    raise NotLiftable("no usual form of experts gives what its stacked parameters give")


def _found(tape: Tape, shares: Shares, rows: Ref, experts: Sequence[nn.Module]) -> Found | None:
    """The mixture where experts take these rows and are weighed by these shares, else None."""
    taken = tensor_of(tape, rows).detach()
    total = _total(shares.values, taken.reshape(len(shares.values), -1), experts)
    if total is None:
        return None
    after = max(rows.node, shares.ref.node)
    result = holding(tape, total, rows, after)
    if result is None or not total.any():
        return None
    return Found(tape.nodes[shares.ref.node], shares.slots, rows, None, result)


def _total(
    shares: torch.Tensor, rows: torch.Tensor, experts: Sequence[nn.Module]
) -> torch.Tensor | None:
    """The weighted sum [rows, hidden]; None where experts do not take such rows."""
    total: torch.Tensor | None = None
    with torch.no_grad():
        for number, expert in enumerate(experts):
            try:
                given = expert(rows) * shares[:, [number]].to(rows.dtype)
            except (RuntimeError, TypeError, ValueError, IndexError):
                return None
            total = given if total is None else total + given
    return total


class LiftedDispatch(LiftedMixture):
    """Call it in place of the host's forward where that does not run by itself.

    Raises NotLiftable where a call that is needed cannot be repeated.
    """

    written = True
    how_read = (
        "{host} runs as it is written: each expert multiplies as many rows whatever is decided "
        "(padding, copies of zeros or all rows); its decision was found by value, and other "
        "strategies run the rows that it sends"
    )

    def __init__(
        self,
        name: str,
        tapes: tuple[Tape, Tape],
        experts: Sequence[nn.Module],
        found: Found,
        captured: str = DISPATCHED,
    ) -> None:
        self._shares = Ref(found.decision.number)
        self._branches = len(experts)
        super().__init__(name, tapes, experts, as_decision(found, len(experts)), captured)
        chosen = torch.as_tensor(next(iter(self.forced().values())))
        self.drops = bool((chosen < 0).any()) or _has_places(tapes[0], found, len(experts))

    def _ids_on_tape(self, found: Found) -> torch.Tensor:
        shares = shares_of(tensor_of(self.tape, self._shares), self._branches)
        self._chosen, _ = chosen_of(shares, found.slots)
        return self._chosen

    def _calls_of(self, tape: Tape, other: Tape, found: Found) -> Calls:
        return DispatchCalls(tape, other, found, self._branches)

    def forced(self) -> Mapping[str, np.ndarray]:  # type: ignore[override]
        return {self.site.name: self._chosen.numpy()}


def as_decision(found: Found, experts: int) -> Found:
    """The mixture, with its decision as one among so many experts."""
    decision = found.decision
    fork = Fork(experts, None, found.slots)
    node = Node(
        decision.number,
        decision.name,
        decision.fn,
        decision.module,
        decision.args,
        decision.kwargs,
        decision.out,
        fork,
    )
    return Found(node, found.slots, found.rows, None, found.result)


def _has_places(tape: Tape, found: Found, experts: int) -> bool:
    """Whether each expert has a number of places, so that rows may be dropped."""
    return tensor_of(tape, Ref(found.decision.number)).shape[-1] != experts


def chosen_of(shares: torch.Tensor, slots: int) -> tuple[torch.Tensor, torch.Tensor]:
    """(ids, weights) [rows, slots] of the experts that take part, -1 and 0 where fewer do."""
    size, ids = shares.abs().topk(slots, dim=1)
    weights = shares.gather(1, ids)
    return torch.where(size > 0, ids, -1), weights


class DispatchCalls(Calls):
    """The calls of a forward beside its experts, its router told by what they add."""

    def __init__(self, tape: Tape, other: Tape, found: Found, experts: int) -> None:
        super().__init__(tape, other, found)
        self.experts = experts
        nodes = [node for node in tape.nodes if node.is_input]
        self.inputs = [tensor_variable(Ref(node.number), ()) for node in nodes]

    def _route(self, site: LiftedSite) -> Action:
        """The calls of the router that other sizes allow, and then the forward itself, unseen."""
        inside = self.of_other_sizes()
        read: set[Variable] = set()
        written: set[Variable] = set()
        for action in inside:
            read |= action.reads
            written |= action.writes
        gate = DispatchGate(site, forgetting(inside, ()), self.own_shares(), self.found.slots)
        routed = routed_variable(site.decision.node, ())
        return Action(RouteRows(gate, routed), read - written | set(self.inputs), {routed})

    def own_shares(self) -> FindsShares:
        """What finds the shares of a run."""
        return OwnShares(self.tape, self.found.decision.number, self.experts, self.inputs)

    def of_other_sizes(self) -> list[Action]:
        """The calls of the router that can be made at other sizes, whose arguments also can."""
        actions: list[Action] = []
        left_out: set[int] = set()
        for number in sorted(self.of_router):
            node = self.tape.nodes[number]
            if any(ref.node in left_out for ref in node.read):
                left_out.add(number)
                continue
            try:
                actions.append(self._call(number))
            except NotLiftable:
                left_out.add(number)
        return actions


class FindsShares(Protocol):
    """What finds the shares [rows, experts] of a run."""

    def find(self, environment: Environment) -> torch.Tensor:
        """Return what each expert adds to each row."""


@dataclass(frozen=True)
class OwnShares:
    """What each expert adds to each row, as the forward itself finds it.

    tape, node: a run of it, and what holds the shares there. inputs: of the forward.
    """

    tape: Tape
    node: int
    experts: int
    inputs: Sequence[Variable]

    def find(self, environment: Environment) -> torch.Tensor:
        """Run the forward unseen; return the shares [rows, experts]."""
        with unseen_run(self.tape, self.inputs, environment) as again:
            return shares_of(tensor_of(again, Ref(self.node)), self.experts)


@dataclass(frozen=True)
class DispatchGate:
    """What runs inside of `condsim.route`. runs: calls of the router. own: what it decides."""

    site: LiftedSite
    runs: Sequence[Run]
    own: FindsShares
    slots: int

    def decide(self, environment: Environment) -> Decided:
        """Run the calls; return ids and weights [rows, slots], and no scores."""
        for run in self.runs:
            run(environment)
        with current().quiet():
            ids, weights = chosen_of(self.own.find(environment), self.slots)
        return ids, weights, None
