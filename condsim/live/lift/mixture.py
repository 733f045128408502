"""A forward around a mixture of experts that was found by value, with the experts made visible.

What leads to ids and weights is the router, the experts run behind `condsim.branch` or stacked, and
what the forward does with their sum, or beside it, is called as on the tape. Its own index code
does not run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils._pytree import tree_flatten, tree_leaves

from condsim.live.execution import current
from condsim.live.experts import Experts
from condsim.live.lift.actions import CallFunction, MixtureGate, RouteRows
from condsim.live.lift.by_value import Found
from condsim.live.lift.call_arguments import arguments_on_both, no_size
from condsim.live.lift.environment import (
    Action,
    Environment,
    Variable,
    forgetting,
    routed_variable,
    tensor_variable,
)
from condsim.live.lift.lifted import LiftedForward
from condsim.live.lift.meanings import Decision, NotLiftable
from condsim.live.lift.nodes import Ref
from condsim.live.lift.program import functional
from condsim.live.lift.sites import LiftedSite
from condsim.live.lift.tape import Tape, tensor_of
from condsim.live.lift.two_tapes import require_same_calls
from condsim.live.marks import branch
from condsim.mechanisms.moe import MixtureOfExperts
from condsim.strategies.whole import DISPATCHED

BATCHED = "batched"
"""The strategy whose calls are the same whatever is decided, so that the own forward can run."""


class LiftedMixture(LiftedForward):
    """Call it in place of the host's forward; it gives the same but for the order of sums.

    tapes: two runs at different sizes. experts, found: the mixture on the first of them.
    captured: the strategy that the forward itself follows.
    Raises NotLiftable where a call that is needed cannot be repeated.
    """

    exact = False
    how_read = (
        "the code of {host} that sends rows to experts could not be read, its decision, "
        "weights and result were found by their values; rows go to experts and back as in "
        "condsim's forms of the strategies"
    )

    def __init__(
        self,
        name: str,
        tapes: tuple[Tape, Tape],
        experts: Sequence[nn.Module],
        found: Found,
        captured: str = MixtureOfExperts.alone,
    ) -> None:
        tape, other = tapes
        super().__init__(tape)
        self.written = self.written or captured == BATCHED
        self._ids = self._ids_on_tape(found)
        decision = Decision(found.decision.number, found.decision.branches, False, (), found.slots)
        mechanism = MixtureOfExperts.name
        self.site = LiftedSite(name, mechanism, decision, None, captured=captured)
        flat = found.taken_from(tensor_of(tape, found.rows).detach())
        self.site.experts = Experts(name, list(experts), flat[:2])
        calls = self._calls_of(tape, other, found)
        self._calls = len(calls.needed)
        output, self._output_spec = tree_flatten(tape.output)
        self._output = [tensor_variable(leaf, ()) if _is_ref(leaf) else leaf for leaf in output]
        inputs = [Ref(node.number) for node in tape.nodes if node.is_input]
        self._inputs = [tensor_variable(ref, ()) for ref in inputs]
        kept = {leaf for leaf in self._output if isinstance(leaf, Variable)}
        self._runs = forgetting(calls.actions(self.site, list(experts)), kept)

    def _ids_on_tape(self, found: Found) -> torch.Tensor:
        """The experts of each row on the tape, int64 [rows, k]."""
        return found.decision.decided().reshape(-1, found.slots)

    def _calls_of(self, tape: Tape, other: Tape, found: Found) -> Calls:
        """The calls around the mixture."""
        return Calls(tape, other, found)

    @property
    def sites(self) -> Mapping[int, LiftedSite]:
        return {self.site.decision.node: self.site}

    @property
    def calls(self) -> int:
        return self._calls

    def forced(self) -> dict[str, np.ndarray]:
        return {self.site.name: self._ids.numpy()}


def _is_ref(leaf: Any) -> bool:
    return isinstance(leaf, Ref)


class Calls:
    """The calls of a forward that are needed beside its experts, and what each of them leads to.

    needed: numbers of those that the result needs, but for those that only the router does.
    """

    def __init__(self, tape: Tape, other: Tape, found: Found) -> None:
        self.tape = tape
        self.other = other
        self.found = found
        self._require_same_calls()
        output = [leaf for leaf in tree_leaves(tape.output) if isinstance(leaf, Ref)]
        self.needed = self._made_of([*output, found.rows], {found.result.node})
        decides = [Ref(found.decision.number)]
        if found.weights is not None:
            decides.append(found.weights)
        self.of_router = self._made_of(decides, self.needed)
        if found.decision.number in self.needed:
            raise NotLiftable("its decision is used as a number too")

    def _require_same_calls(self) -> None:
        """Raises NotLiftable where the tapes have other calls."""
        require_same_calls(self.tape, self.other)

    def _made_of(self, refs: Iterable[Ref], known: set[int]) -> set[int]:
        """Calls that some tensors are made of, inputs and what is known left out."""
        found: set[int] = set()
        waiting = [ref.node for ref in refs]
        while waiting:
            number = waiting.pop()
            node = self.tape.nodes[number]
            if number in found or number in known or node.is_input:
                continue
            found.add(number)
            waiting += [ref.node for ref in node.read]
        return found

    def actions(self, site: LiftedSite, experts: list[nn.Module]) -> list[Action]:
        """What the forward does, in the order of the tape."""
        actions = {number: self._call(number) for number in self.needed}
        actions[max(self.of_router)] = self._route(site)
        actions[self.found.result.node] = self._mixture(site, experts)
        return [actions[number] for number in sorted(actions)]

    def _call(self, number: int) -> Action:
        """A call as on the tape."""
        node = self.tape.nodes[number]
        function, more = functional(node)
        arguments = arguments_on_both((self.tape, self.other), node, more, no_size)
        results = [tensor_variable(ref, ()) for ref in node.results]
        call = CallFunction(function, arguments, results, node.single)
        return Action(call, arguments.reads, set(results))

    def _route(self, site: LiftedSite) -> Action:
        """The calls of the router, inside of `condsim.route`."""
        inside = [self._call(number) for number in sorted(self.of_router)]
        read: set[Variable] = set()
        written: set[Variable] = set()
        for action in inside:
            read |= action.reads
            written |= action.writes
        fork = self.found.decision.fork
        assert fork is not None
        decided = tensor_variable(Ref(self.found.decision.number, fork.item), ())
        weights = None
        if self.found.weights is not None:
            weights = tensor_variable(self.found.weights, ())
            read.add(weights)
        kept = {decided} if weights is None else {decided, weights}
        of_all = self.found.weigh_all(self.tape)
        gate = MixtureGate(
            site,
            runs=forgetting(inside, kept),
            decided=decided,
            weights=weights,
            of_all=of_all,
            keeps_weights=True,
            undecided=self._weights_know_nothing(),
        )
        routed = routed_variable(site.decision.node, ())
        return Action(RouteRows(gate, routed), read - written, {routed})

    def _weights_know_nothing(self) -> bool:
        """Whether the weights are made without the decision, as probabilities of all experts."""
        if self.found.weights is None:
            return False
        decision = self.found.decision.number
        return decision not in self._made_of([self.found.weights], set())

    def _mixture(self, site: LiftedSite, experts: list[nn.Module]) -> Action:
        """The experts, and the sum of their results."""
        rows = tensor_variable(self.found.rows, ())
        result = tensor_variable(self.found.result, ())
        routed = routed_variable(site.decision.node, ())
        shape_of = self._of_the_shape(self.found.result)
        of_units = self.found.of_units
        run = self._experts(site, experts, rows, routed, result, shape_of, of_units)
        return Action(run, {rows, routed, shape_of}, {result})

    def _experts(self, *parts: Any) -> RunExperts:
        """What runs the experts. parts: of `RunExperts`."""
        return RunExperts(*parts)

    def _of_the_shape(self, result: Ref) -> Variable:
        """A tensor that is there before and has the shape of a result, but for its last dimension.

        Raises NotLiftable where there is none.
        """
        inputs = [Ref(node.number) for node in self.tape.nodes if node.is_input]
        for ref in (self.found.rows, *inputs):
            alike = []
            for tape in (self.tape, self.other):
                alike.append(tensor_of(tape, ref).shape[:-1] == tensor_of(tape, result).shape[:-1])
            if all(alike):
                return tensor_variable(ref, ())
        raise NotLiftable("the sum of its experts' results has a shape that no input has")


@dataclass(frozen=True)
class RunExperts:
    """Run the experts: one after the other, or stacked.

    rows: what they take their rows from. routed: ids and weights. result: where their sum is kept.
    shape_of: a tensor of the result's shape, but for the last dimension. of_units: of `Found`.
    """

    site: LiftedSite
    experts: Sequence[nn.Module]
    rows: Variable
    routed: Variable
    result: Variable
    shape_of: Variable
    of_units: bool = False

    def __call__(self, environment: Environment) -> None:
        strategy = current().strategy(self.site.name, self.site.mechanism)
        x = environment[self.rows]
        if x.ndim > 2 and not self.of_units:
            x = x.flatten(0, -2)
        stacked = self.site.experts
        assert stacked is not None
        if strategy in (MixtureOfExperts.alone, DISPATCHED) or not stacked.stacks:
            result = self._one_by_one(x, self._start(x, environment))
        else:
            result = stacked.run(strategy, x, environment.get(self.routed))
        shape = environment[self.shape_of].shape[:-1]
        if len(shape) > 1 and not self.of_units:
            result = result.view(*shape, result.shape[-1])
        environment[self.result] = result

    def _start(self, x: torch.Tensor, environment: Environment) -> torch.Tensor:
        """What results are added to."""
        return torch.zeros_like(x)

    def _one_by_one(self, x: torch.Tensor, total: torch.Tensor) -> torch.Tensor:
        for number, expert in enumerate(self.experts):
            rows: Any
            with branch(self.site.name, number) as rows:
                if rows:
                    total = rows.add_(total, expert(rows.take(x)))
                rows.close()
        return total
