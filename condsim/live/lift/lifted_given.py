"""Forwards whose code gives rows to experts by numbers, with the experts made visible.

Where rows choose their experts and some are dropped, it is a mixture whose decisions are those that
are left. Where experts pick their rows, each expert is a layer that rows skip.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

from condsim.live.execution import current
from condsim.live.lift.by_value import Found
from condsim.live.lift.dispatched import DispatchCalls, LiftedDispatch, chosen_of
from condsim.live.lift.environment import Action, Environment, Run, Variable, tensor_variable
from condsim.live.lift.given_rows import GivenRows
from condsim.live.lift.lifted import Trial
from condsim.live.lift.meanings import Decision
from condsim.live.lift.mixture import RunExperts
from condsim.live.lift.sites import LiftedSite
from condsim.live.lift.tape import Tape, outputs_of
from condsim.live.lift.two_tapes import aligned
from condsim.live.lift.unseen_run import unseen_run
from condsim.live.marks import branch, route
from condsim.mechanisms.moe import MixtureOfExperts
from condsim.mechanisms.skip import Skip


@dataclass(frozen=True)
class OwnRows:
    """What each expert adds to each row, as the forward itself finds it. inputs: of the forward."""

    tape: Tape
    given: GivenRows
    inputs: Sequence[Variable]

    def find(self, environment: Environment) -> torch.Tensor:
        """Run the forward unseen; return the shares [rows, experts]."""
        with unseen_run(self.tape, self.inputs, environment) as again:
            return self.given.shares(again)


def found_of(given: GivenRows, tape: Tape) -> Found:
    """The mixture, its decision in place of the last call before its experts' sum."""
    last = max(expert.index.node for expert in given.experts)
    return Found(tape.nodes[last], max(given.slots, 1), given.source, None, given.result)


class GivenCalls(DispatchCalls):
    """The calls of a forward beside its experts, where rows are given to them by numbers."""

    def __init__(self, tape: Tape, other: Tape, given: GivenRows, experts: int) -> None:
        self.given = given
        super().__init__(tape, aligned(tape, other), found_of(given, tape), experts)
        refs = [expert.index for expert in given.experts]
        refs += [expert.weights for expert in given.experts if expert.weights is not None]
        self.of_router = self._made_of(refs, self.needed)

    def _require_same_calls(self) -> None:
        """Index code may be other code for other data; what is needed beside it may not."""

    def own_shares(self) -> OwnRows:
        return OwnRows(self.tape, self.given, self.inputs)

    def _experts(self, *parts: Any) -> RunExperts:
        return RunExpertsOnto(*parts) if self.given.keeps else RunExperts(*parts)


class LiftedGiven(LiftedDispatch):
    """A mixture of which some rows are dropped. Call it in place of the host's forward.

    Raises NotLiftable where a call that is needed cannot be repeated.
    """

    written = False
    runs_own = True
    how_read = (
        "which rows the code of {host} gives to its experts was found by value: those of its "
        "decision without what it drops; rows go to experts and back as in condsim's forms of the "
        "strategies, and another batch size drops as many as this trace"
    )

    def __init__(
        self, name: str, tapes: tuple[Tape, Tape], experts: Sequence[nn.Module], given: GivenRows
    ) -> None:
        self._given = given
        super().__init__(name, tapes, experts, found_of(given, tapes[0]), MixtureOfExperts.alone)
        self.drops = True

    def _ids_on_tape(self, found: Found) -> torch.Tensor:
        self._chosen, _ = chosen_of(self._given.shares(self.tape), found.slots)
        return self._chosen

    def _calls_of(self, tape: Tape, other: Tape, found: Found) -> GivenCalls:
        return GivenCalls(tape, other, self._given, self._branches)


class RunExpertsOnto(RunExperts):
    """Run the experts; rows that none of them is given keep what they were."""

    def _start(self, x: torch.Tensor, environment: Environment) -> torch.Tensor:
        routed = environment.get(self.routed)
        if routed is None:
            return torch.zeros_like(x)
        ids, _ = routed
        return torch.where((ids < 0).all(1).unsqueeze(1), x, 0)


class LiftedChoice(LiftedDispatch):
    """Experts that pick their rows, each a layer that rows skip. Call it in place of the forward.

    Raises NotLiftable where a call that is needed cannot be repeated.
    """

    written = False
    runs_own = True
    how_read = (
        "the experts of {host} pick their rows, which were found by value: each is a skipped layer "
        "of its own, whose rows go in and back in condsim's forms"
    )

    def __init__(
        self, name: str, tapes: tuple[Tape, Tape], experts: Sequence[nn.Module], given: GivenRows
    ) -> None:
        self._given, self._names = given, [f"{name}.{number}" for number in range(len(experts))]
        super().__init__(name, tapes, experts, found_of(given, tapes[0]), Skip.alone)
        self.offers = {Skip.name: (Skip.alone,)}

    def _ids_on_tape(self, found: Found) -> torch.Tensor:
        self._picked = self._given.shares(self.tape) != 0
        return self._picked

    def _calls_of(self, tape: Tape, other: Tape, found: Found) -> GivenCalls:
        return ChoiceCalls(tape, other, self._given, self._names)

    @property
    def sites(self) -> Mapping[int, LiftedSite]:
        return {-1 - number: site for number, site in enumerate(_skips(self._names))}

    def forced(self) -> dict[str, np.ndarray]:
        columns = self._picked.long().unbind(1)
        return {name: column.numpy() for name, column in zip(self._names, columns, strict=True)}

    def trials(self) -> list[Trial]:
        return [Trial(self.forced(), outputs_of(self.tape))]


def _skips(names: Sequence[str]) -> Iterator[LiftedSite]:
    """Yield the site of each expert."""
    for number, name in enumerate(names):
        decision = Decision(-1 - number, 2, True, ())
        yield LiftedSite(name, Skip.name, decision, 1, captured=Skip.alone)


class ChoiceCalls(GivenCalls):
    """The same where experts pick their rows. names: of their sites."""

    def __init__(self, tape: Tape, other: Tape, given: GivenRows, names: Sequence[str]) -> None:
        self.names = names
        super().__init__(tape, other, given, len(names))

    def actions(self, site: LiftedSite, experts: list[nn.Module]) -> list[Action]:
        """What the forward does, in the order of the tape."""
        actions = {number: self._call(number) for number in self.needed}
        inside = self.of_other_sizes()
        router = [action.run for action in inside]
        source = tensor_variable(self.found.rows, ())
        result = tensor_variable(self.found.result, ())
        shape_of = self._of_the_shape(self.found.result)
        own = self.own_shares()
        run = RunChoice(self.names, experts, router, own, source, result, shape_of)
        written = {variable for action in inside for variable in action.writes}
        read = {variable for action in inside for variable in action.reads} - written
        reads = {source, shape_of, *self.inputs, *read}
        actions[self.found.result.node] = Action(run, reads, {result})
        return [actions[number] for number in sorted(actions)]


@dataclass(frozen=True)
class RunChoice:
    """Run experts on the rows that each has picked.

    names: of their sites. router: calls that lead to what is picked. own: which it is. source,
    result: of their rows. shape_of: a tensor of the result's shape, but for the last dimension.
    """

    names: Sequence[str]
    experts: Sequence[nn.Module]
    router: Sequence[Run]
    own: OwnRows
    source: Variable
    result: Variable
    shape_of: Variable
    shares: dict[str, torch.Tensor] = field(default_factory=dict)

    def __call__(self, environment: Environment) -> None:
        self.shares.clear()
        x = environment[self.source].flatten(0, -2)
        total = torch.zeros_like(x)
        for number, (name, expert) in enumerate(zip(self.names, self.experts, strict=True)):
            route(name, Skip.name, partial(self._picked, number, environment))
            with branch(name, 1) as rows:
                if rows:
                    given = expert(rows.take(x))
                    if self.shares:
                        given = given * rows.take(self.shares[name])
                    total = rows.put(total, rows.take(total) + given)
        shape = environment[self.shape_of].shape[:-1]
        environment[self.result] = total.view(*shape, total.shape[-1])

    def _picked(self, number: int, environment: Environment) -> torch.Tensor:
        """1 for the rows that an expert picks, int64 [rows]."""
        if number == 0:
            inside = dict(environment)
            for run in self.router:
                run(inside)
        with current().quiet():
            if number == 0:
                columns = self.own.find(environment).unbind(1)
                of_experts = zip(self.names, columns, strict=True)
                self.shares.update({name: shares.unsqueeze(1) for name, shares in of_experts})
            picked: torch.Tensor = (self.shares[self.names[number]].squeeze(1) != 0).long()
            return picked


def lifted_given(
    name: str, tapes: tuple[Tape, Tape], experts: Sequence[nn.Module], given: GivenRows
) -> LiftedGiven | LiftedChoice:
    """The forward lifted as a mixture that drops rows, or as experts that pick them."""
    if given.slots:
        return LiftedGiven(name, tapes, experts, given)
    return LiftedChoice(name, tapes, experts, given)
