"""What a lifted forward does: calls, rows that are taken, decisions, guarded bodies."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import torch
from torch.utils._pytree import TreeSpec, tree_leaves, tree_unflatten

from condsim.live.execution import current
from condsim.live.experts import Experts
from condsim.live.lift.environment import Environment, Run, Variable
from condsim.live.lift.meanings import Context
from condsim.live.lift.sites import LiftedSite
from condsim.live.marks import branch, route

Size = tuple[int, Variable, tuple[int, ...]]
"""(place among the leaves of a call, variable, its dimensions)."""


@dataclass(frozen=True)
class Arguments:
    """The arguments of a call.

    leaves, spec: as on the tape, flat, and how they are put together. variables: (place among the
    leaves, variable to put there). sizes: (place, variable, dimensions whose sizes' product to put
    there).
    """

    leaves: tuple[Any, ...]
    spec: TreeSpec
    variables: list[tuple[int, Variable]]
    sizes: list[Size]

    @property
    def reads(self) -> set[Variable]:
        """The variables that are needed."""
        tensors = {variable for _, variable in self.variables}
        sized = {variable for _, variable, _ in self.sizes}
        return tensors | sized

    def build(self, environment: Environment) -> Any:
        """Positional arguments and those by keyword."""
        filled = list(self.leaves)
        for place, variable in self.variables:
            filled[place] = environment[variable]
        for place, variable, dims in self.sizes:
            shape = environment[variable].shape
            filled[place] = math.prod(shape[dim] for dim in dims)
        return tree_unflatten(filled, self.spec)


@dataclass(frozen=True)
class CallFunction:
    """Call a function and keep what it gives.

    results: where to keep it, one for each item. single: whether it is one tensor.
    """

    function: Callable[..., Any]
    arguments: Arguments
    results: list[Variable]
    single: bool

    def __call__(self, environment: Environment) -> None:
        args, kwargs = self.arguments.build(environment)
        out = self.function(*args, **kwargs)
        if self.single:
            environment[self.results[0]] = out
            return
        # It may give more pieces than on the tape; nobody there read them.
        environment.update(zip(self.results, tree_leaves(out), strict=False))


@dataclass(frozen=True)
class TakeRows:
    """Take the rows of a variable that fulfil one condition more. rows: the selector."""

    outer: Variable
    inner: Variable
    rows: Variable

    def __call__(self, environment: Environment) -> None:
        environment[self.inner] = environment[self.rows].take(environment[self.outer])


@dataclass(frozen=True)
class AddUp:
    """Add two variables."""

    value: Variable
    addend: Variable
    total: Variable

    def __call__(self, environment: Environment) -> None:
        environment[self.total] = environment[self.value] + environment[self.addend]


Decided = tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]
"""Branch ids, weights and scores, as `condsim.route` takes them from a gate."""


class Decides(Protocol):
    """What runs inside `condsim.route` and decides."""

    @property
    def site(self) -> LiftedSite:
        """The site that it decides for."""

    def decide(self, environment: Environment) -> Decided:
        """Return ids [rows] and scores [rows], or ids and weights [rows, k]."""


@dataclass(frozen=True)
class Gate:
    """What runs inside `condsim.route` and decides for one branch a row.

    runs: the calls that lead to the decision. decided: the branch of each row. scores: what goes
    with it, if anything. keeps_scores: whether somebody reads the scores afterwards.
    """

    site: LiftedSite
    runs: Sequence[Run]
    decided: Variable
    scores: Variable | None
    keeps_scores: bool

    def decide(self, environment: Environment) -> Decided:
        """Run the calls; give ids [rows] and scores [rows]."""
        for run in self.runs:
            run(environment)
        ids = environment.pop(self.decided)
        if ids.ndim > 1:
            ids = ids.reshape(-1)
        return self._branches(ids), None, self._scores(environment)

    def _branches(self, ids: torch.Tensor) -> torch.Tensor:
        """The branches of the site, int64 [rows]. ids: those of the decision, or a mask."""
        works = self.site.works
        if works is None:
            return ids.long()
        if self.site.decision.boolean:
            return (ids if works else ~ids).long()
        return (ids == works).long()

    def _scores(self, environment: Environment) -> torch.Tensor | None:
        if self.scores is None:
            return None
        scores: torch.Tensor = environment[self.scores]
        if not self.keeps_scores:
            del environment[self.scores]
        return scores if scores.ndim == 1 else scores.reshape(-1)


@dataclass(frozen=True)
class MixtureGate:
    """What runs inside `condsim.route` and decides for several experts a row.

    runs: the calls that lead to the decision. decided: the experts of each row. weights: what goes
    with them, if anything. of_all: whether the weights are of every expert, and not of the chosen
    ones. keeps_weights: whether somebody reads the weights afterwards. undecided: whether the
    weights are the same whatever is decided.
    """

    site: LiftedSite
    runs: Sequence[Run]
    decided: Variable
    weights: Variable | None
    of_all: bool = False
    keeps_weights: bool = False
    undecided: bool = False

    def decide(self, environment: Environment) -> Decided:
        """Run the calls; give ids and weights [rows, k], and no scores."""
        for run in self.runs:
            run(environment)
        ids = environment.pop(self.decided).reshape(-1, self.site.decision.slots)
        return ids, self._weights(environment, ids), None

    def _weights(self, environment: Environment, ids: torch.Tensor) -> torch.Tensor | None:
        """The weights of the chosen experts [rows, k]. ids: of the experts."""
        if self.weights is None:
            return None
        weights: torch.Tensor = environment[self.weights].reshape(len(ids), -1)
        if not self.keeps_weights:
            del environment[self.weights]
        return weights.gather(1, self._that_stand(ids)) if self.of_all else weights

    def _that_stand(self, ids: torch.Tensor) -> torch.Tensor:
        """The experts whose weights count: forced ones, where these have weights of their own."""
        forced = current().forced_ids(self.site.name) if self.undecided else None
        return ids if forced is None else torch.as_tensor(forced).reshape(ids.shape).clamp(min=0)


@dataclass(frozen=True)
class RouteRows:
    """Decide, through `condsim.route`. routed: where to keep what it gives, for a mixture."""

    gate: Decides
    routed: Variable | None

    def __call__(self, environment: Environment) -> None:
        site = self.gate.site
        decide = partial(self.gate.decide, environment)
        decided = route(site.name, site.mechanism, decide, branches=site.branches)
        if self.routed is not None:
            environment[self.routed] = decided


@dataclass(frozen=True)
class Body:
    """What stands behind a guard.

    choice: the branch, as the site counts. context: the conditions inside. rows: where the selector
    of its rows is kept. runs: what is done. values: what it gives for each result of the guard;
    None where it gives nothing for it.
    """

    choice: int
    context: Context
    rows: Variable
    runs: list[Run]
    values: list[Variable | None]

    def run(self, environment: Environment, rows: Any) -> None:
        """Run it. rows: the selector of `condsim.branch`."""
        environment[self.rows] = rows
        for run in self.runs:
            run(environment)

    def take_value(self, environment: Environment, value: Variable) -> Any:
        """One of the values, which is forgotten if it was made inside."""
        inside = value.context == self.context
        return environment.pop(value) if inside else environment[value]

    def end(self, environment: Environment) -> None:
        """Let go of the selector."""
        del environment[self.rows]


@dataclass(frozen=True)
class RunGuarded:
    """Run the bodies of a site, through `condsim.branch`.

    results: what is put together from the bodies. rests: what rows have that enter nothing.
    """

    site: LiftedSite
    bodies: list[Body]
    results: list[Variable]
    rests: list[Variable | None]

    def __call__(self, environment: Environment) -> None:
        for result, rest in zip(self.results, self.rests, strict=True):
            # A baseline, which has no gate, does not compute what rows have that leave.
            environment[result] = None if rest is None else environment.get(rest)
        for body in self.bodies:
            rows: Any
            with branch(self.site.name, body.choice) as rows:
                if rows:
                    body.run(environment, rows)
                    self._put_back(environment, body, rows)
                    body.end(environment)

    def _put_back(self, environment: Environment, body: Body, rows: Any) -> None:
        for result, value in zip(self.results, body.values, strict=True):
            if value is not None:
                made = body.take_value(environment, value)
                environment[result] = rows.put(environment[result], made)
                del made


@dataclass(frozen=True)
class RunMixture:
    """Run the experts of a site: one after the other as the forward has them, or stacked.

    base: the zeros that results are added to. rows: what all experts take their rows from, and
    experts: their stacked weights; None where they cannot be stacked. routed: ids and weights.
    """

    site: LiftedSite
    bodies: list[Body]
    base: Variable
    result: Variable
    routed: Variable
    rows: Variable | None
    experts: Experts | None

    def __call__(self, environment: Environment) -> None:
        strategy = current().strategy(self.site.name, self.site.mechanism)
        if strategy == self.site.captured or self.experts is None or not self.experts.stacks:
            self._run_one_by_one(environment)
            return
        assert self.rows is not None
        x = environment[self.rows]
        environment[self.result] = self.experts.run(strategy, x, environment.get(self.routed))

    def _run_one_by_one(self, environment: Environment) -> None:
        out = environment[self.base]
        for body in self.bodies:
            (value,) = body.values
            assert value is not None
            rows: Any
            with branch(self.site.name, body.choice) as rows:
                if rows:
                    body.run(environment, rows)
                    out = rows.add_(out, body.take_value(environment, value))
                    body.end(environment)
                rows.close()
        environment[self.result] = out
