"""Where the time of a step goes: by segment, and in it by operator.

A segment is what stands behind the same guard: the experts of a layer, what comes after an exit, a
branch, a layer that can be skipped. The router of a site is one of its own, and what has no guard
is the trunk. A prediction and a recorded run (`condsim.measure.segments`) name them by the same
rule.
"""

from __future__ import annotations

import typing
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from condsim.cost.step_cost import Between, StepCost
from condsim.errors import CondsimError
from condsim.kernels import Kernels
from condsim.predict.carried import Carried
from condsim.predict.side import Side, between_runs
from condsim.program import Program, loops
from condsim.program.model import Place
from condsim.protocols import Protocol
from condsim.trace import Trace

TRUNK = "trunk"
COLUMNS = ("side", "segment", "operator", "calls", "seconds")

Label = tuple[str, str]
"""(segment, operator)."""


class Placed(typing.Protocol):
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


def segments(
    trace: Trace, blocks: Iterable[Mapping[str, Side]], steps: int, protocol: Protocol
) -> pd.DataFrame:
    """Return a row a side, segment and operator: calls and seconds, the mean over the steps.

    The seconds of a side sum up to its predicted latency. blocks: of steps in order, side by name.
    steps: in all of them. protocol: what runs between two runs of a step.
    Raises CondsimError where host and device are two: there the time of an operator hides behind
    that of others.
    """
    tables: dict[str, _SegmentSums] = {}
    for sides in blocks:
        for name, side in sides.items():
            _refuse_overlap(side)
            others = [other for other_name, other in sides.items() if other_name != name]
            between = between_runs(protocol, side, others[0])
            if name not in tables:
                tables[name] = _SegmentSums(trace, side, steps)
            tables[name].add(side.cost, between)
    rows = []
    for name, table in tables.items():
        for label in table.in_order():
            mean_calls = table.calls.get(label, 0.0) / steps
            mean_s = table.seconds[label] / steps
            rows.append((name, *label, mean_calls, mean_s))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _refuse_overlap(side: Side) -> None:
    profile = side.model.target.profile
    if not profile.device_class.is_host:
        raise CondsimError(
            f"by segment: operators overlap on {profile.name}, so that their times do not sum up "
            "to the latency; choose the profile of a CPU"
        )


class _SegmentSums:
    """Calls and seconds of a side by segment and operator, summed over blocks of steps.

    side: of the first block. steps: in all blocks.
    """

    def __init__(self, trace: Trace, side: Side, steps: int) -> None:
        self.calls: dict[Label, float] = {}
        self.seconds: dict[Label, float] = {}
        self._families = families(trace, side.lowered.program)
        target = side.model.target
        self._carried = Carried(target.profile, target.model_bytes)
        self._steps_to_come = steps
        self._labels: dict[Place, Label] = {}

    def in_order(self) -> list[Label]:
        """Return the labels in the order in which the program has them."""
        return list(dict.fromkeys(self._labels[place] for place in sorted(self._labels)))

    def add(self, cost: StepCost, between: Between | None) -> None:
        """Add a block of steps, evicted weights and code included."""
        self._steps_to_come -= cost.steps
        ends = self._steps_to_come == 0
        kernels = cost.kernels
        labels = self._labels_of(kernels)
        calls = kernels.by_entry(np.ones(len(kernels.entry)))
        seconds = kernels.by_entry(kernels.seconds)
        for label, of_calls, of_seconds in zip(labels, calls, seconds, strict=True):
            self.calls[label] = self.calls.get(label, 0.0) + float(of_calls)
            self._add(label, of_seconds)
        self._add_code(cost, labels)
        if between is None:
            for first in self._carried.first_uses(cost, ends):
                self._add(self._labels[first.label], first.seconds)
        for place, missed_s in self._carried.missed_by_operator(cost, between, ends):
            self._add(self._labels[place], missed_s)

    def _add(self, label: Label, seconds: Any) -> None:
        self.seconds[label] = self.seconds.get(label, 0.0) + float(seconds)

    def _labels_of(self, kernels: Kernels) -> list[Label]:
        """The label of each entry of a side's kernels."""
        labels = []
        for entry in kernels.entries:
            guards = kernels.lowered.scopes[entry.scope].guards
            label = (segment_of(entry.op, guards, self._families), entry.op.name)
            self._labels[entry.scope, entry.node] = label
            labels.append(label)
        return labels

    def _add_code(self, cost: StepCost, labels: list[Label]) -> None:
        """Add what calls cost more because a step's data evicted their code."""
        kernels, evicted = cost.kernels, cost.evicted_code
        labels_and_code = list(zip(labels, kernels.code, strict=True))
        calls = kernels.calls(labels_and_code)
        for (label, code), count in calls.items():
            if code in evicted:
                self._add(label, np.sum(count * evicted[code].each_s))
