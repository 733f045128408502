"""Where the time of a step goes: by segment, and in it by operator.

A segment is what stands behind the same guard: the experts of a layer, what comes after an exit, a
branch, a layer that can be skipped. The router of a site is one of its own, and what has no guard
is the trunk. A prediction and a recorded run (`condsim.measure.segments`) name them by the same
rule.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

import numpy as np
import pandas as pd

from condsim.cost.step_cost import Between, StepCost
from condsim.errors import CondsimError
from condsim.kernels import Kernels
from condsim.predict.side import Side
from condsim.program import Program, loops
from condsim.trace import Trace

TRUNK = "trunk"
COLUMNS = ("side", "segment", "operator", "calls", "seconds")

Label = tuple[str, str]
"""(segment, operator)."""


class Placed(Protocol):
    """What the place of an operator follows from: as in `condsim.program.Op`."""

    @property
    def role(self) -> str: ...
    @property
    def site(self) -> str: ...
    @property
    def module(self) -> str: ...


def families(trace: Trace, program: Program) -> frozenset[str]:
    """Return the sites whose branches are one segment: those that are alike, or that one body
    serves in this program."""
    shared = set()
    for loop in loops(program.root):
        one_for_all = any(choice < 0 for choice, _, _ in loop.bodies)
        if one_for_all:
            shared.add(loop.site)
    alike = {site.name for site in trace.sites if site.routing.alike}
    return frozenset(shared | alike)


def segment_of(op: Placed, guards: Sequence[tuple[str, int]], of_families: Collection[str]) -> str:
    """Return the segment of an operator.

    guards: (site, choice) from the outside in. of_families: of `families`.
    """
    if op.role:
        return f"{op.role.removeprefix('router:')} router"
    if op.site:
        return op.site
    # A baseline runs experts without a guard, in the module that has the site's name.
    module = f"{op.module}."
    named = [site for site in of_families if module.startswith(f"{site}.")]
    if named:
        return max(named, key=len)
    if not guards:
        return TRUNK
    site, choice = guards[-1]
    return site if site in of_families else f"{site}={choice}"


def segments(trace: Trace, sides: Mapping[str, Side], *, repeat: bool) -> pd.DataFrame:
    """Return a row a side, segment and operator: calls and seconds, the mean over the steps.

    The seconds of a side sum up to its predicted latency. repeat: each step is repeated in turn on
    both sides.
    Raises CondsimError where host and device are two: there the time of an operator hides behind
    that of others.
    """
    rows = []
    for name, side in sides.items():
        _refuse_overlap(side)
        others = [other for other_name, other in sides.items() if other_name != name]
        between = others[0].between() if repeat else None
        table = _Labelled(trace, side.cost)
        seconds = table.seconds(between)
        calls = table.calls()
        for label, of_label in seconds.items():
            mean_calls = float(np.mean(calls[label]))
            mean_s = float(np.mean(of_label))
            rows.append((name, *label, mean_calls, mean_s))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _refuse_overlap(side: Side) -> None:
    profile = side.model.target.profile
    if profile.kind != "cpu":
        raise CondsimError(
            f"by segment: operators overlap on {profile.name}, so that their times do not sum up "
            "to the latency; choose the profile of a CPU"
        )


class _Labelled:
    """A side's kernels by segment and operator."""

    def __init__(self, trace: Trace, cost: StepCost) -> None:
        self.cost = cost
        self.kernels = cost.kernels
        self.labels = _labels(trace, self.kernels)

    def calls(self) -> dict[Label, np.ndarray]:
        """Return label → calls in each step, float [steps]."""
        ones = np.ones(len(self.kernels.entry))
        return self.kernels.by_label(self.labels, ones)

    def seconds(self, between: Between | None) -> dict[Label, np.ndarray]:
        """Return label → seconds of each step, evicted weights and code included."""
        found = self.kernels.by_label(self.labels, self.kernels.seconds)
        self._add_code(found, between)
        new_shapes = self.cost.new_shapes
        if between is None and new_shapes is not None:
            for entry, seconds in new_shapes.seconds(self.cost.profile).items():
                label = self.labels[entry]
                found[label] = found[label] + seconds
        for place, seconds in self.cost.evicted_weights_by_entry(between):
            entry = self.kernels.layout.entry_of[place]
            label = self.labels[entry]
            found[label] = found[label] + seconds
        return found

    def _add_code(self, found: dict[Label, np.ndarray], between: Between | None) -> None:
        """Add what calls cost more because their code was evicted, by a step's data and by what
        runs between two steps."""
        evicted = self.cost.evicted_code
        first = self.cost.first_calls(between)
        labels_and_code = list(zip(self.labels, self.kernels.code, strict=True))
        ones = np.ones(len(self.kernels.entry))
        calls = self.kernels.by_label(labels_and_code, ones)
        for (label, code), count in calls.items():
            if code in evicted:
                found[label] = found[label] + count * evicted[code].each_s
            if code in first:
                calls_of_code = np.maximum(self.cost.code_calls[code], 1.0)
                share = count / calls_of_code
                found[label] = found[label] + first[code] * share


def _labels(trace: Trace, kernels: Kernels) -> list[Label]:
    """The label of each entry of a side's kernels."""
    of_families = families(trace, kernels.lowered.program)
    labels = []
    for entry in kernels.entries:
        guards = kernels.lowered.scopes[entry.scope].guards
        segment = segment_of(entry.op, guards, of_families)
        labels.append((segment, entry.op.name))
    return labels
