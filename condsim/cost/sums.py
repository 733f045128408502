"""What is said of all steps of one side: sums over blocks of them."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from condsim.cost.step_cost import StepCost
from condsim.kernel_cost import least_sure
from condsim.layout import Layout
from condsim.program.model import Place


@dataclass
class _EntrySums:
    """Seconds of each entry of blocks that run the same operators, float [entries], and what these
    rest on."""

    layout: Layout
    seconds: np.ndarray
    basis: list[str]

    @classmethod
    def nothing(cls, layout: Layout) -> _EntrySums:
        """Return the sums of no block."""
        return cls(layout, np.zeros(len(layout.entries)), [])

    def add(self, seconds: np.ndarray, basis: list[str]) -> None:
        """Add a block of steps."""
        self.seconds = self.seconds + seconds
        if self.basis and self.basis != basis:
            basis = [_both(*pair) for pair in zip(self.basis, basis, strict=True)]
        self.basis = basis

    def by_place(self) -> Iterator[tuple[Place, float, str]]:
        """Yield (scope and node of an operator, its seconds, what they rest on)."""
        columns = (self.layout.entries, self.seconds.tolist(), self.basis)
        for entry, seconds, basis in zip(*columns, strict=True):
            yield (entry.scope, entry.node), seconds, basis


def _both(basis: str, other: str) -> str:
    """What a sum rests on of two seconds."""
    return basis if basis == other else least_sure((basis, other))


@dataclass
class CostSums:
    """Sums over the steps of one side that were added.

    flops, router_flops: as in `StepCost`. hot_s: seconds of steps whose weights are where their
    kernels were timed with them. roofline_s: of a plain roofline. parts, worlds,
    by_family: name → seconds, as in `StepCost`.
    started_s: seconds beside those of kernels. evicted_code_s: of calls whose code was evicted.
    graphs: that are compiled. stacked: world → seconds in it of gradients as large as all experts.
    """

    calibrated: bool
    flops: float = 0.0
    router_flops: float = 0.0
    hot_s: float = 0.0
    roofline_s: float = 0.0
    parts: dict[str, float] = field(default_factory=dict)
    worlds: dict[str, float] = field(default_factory=dict)
    by_family: dict[str, float] = field(default_factory=dict)
    started_s: float = 0.0
    evicted_code_s: float = 0.0
    graphs: set[Hashable] = field(default_factory=set)
    stacked: dict[str, float] = field(default_factory=dict)
    _of_entries: list[_EntrySums] = field(default_factory=list)

    def add(self, cost: StepCost) -> None:
        """Add a block of steps."""
        self.flops += float(cost.flops.sum())
        self.router_flops += float(cost.router_flops.sum())
        self.hot_s += float(cost.seconds.sum())
        self.roofline_s += float(cost.roofline_s.sum())
        _add(self.parts, cost.parts)
        _add(self.worlds, cost.worlds)
        for family, seconds in cost.by_family.items():
            self.by_family[family] = self.by_family.get(family, 0.0) + seconds
        _add(self.stacked, cost.stacked_gradients)
        self.started_s += sum(float(seconds.sum()) for seconds in cost.extra_s.values())
        self.evicted_code_s += float(cost.evicted_code_s.sum())
        self.graphs |= cost.graphs
        self._add_entries(cost)
        self.__dict__.pop("by_basis", None)

    def _add_entries(self, cost: StepCost) -> None:
        kernels = cost.kernels
        seconds = kernels.by_entry(kernels.seconds)
        if not self._of_entries or self._of_entries[-1].layout is not kernels.layout:
            self._of_entries.append(_EntrySums.nothing(kernels.layout))
        self._of_entries[-1].add(seconds, kernels.basis)

    @cached_property
    def by_basis(self) -> Mapping[str, float]:
        """Basis word → seconds that rest on it."""
        seconds_at: dict[Place, float] = {}
        basis_at: dict[Place, str] = {}
        for sums in self._of_entries:
            for place, seconds, basis in sums.by_place():
                seconds_at[place] = seconds_at.get(place, 0.0) + seconds
                basis_at[place] = _both(basis_at.get(place, basis), basis)
        found: dict[str, float] = {}
        for place, seconds in seconds_at.items():
            basis = basis_at[place]
            found[basis] = found.get(basis, 0.0) + seconds
        if self.started_s:
            basis = "calibrated" if self.calibrated else "estimated"
            found[basis] = found.get(basis, 0.0) + self.started_s
        if self.evicted_code_s:
            found["calibrated"] = found.get("calibrated", 0.0) + self.evicted_code_s
        return found


def _add(sums: dict[str, float], of_steps: Mapping[str, np.ndarray]) -> None:
    """Add name → float [steps] to name → sum."""
    for name, values in of_steps.items():
        sums[name] = sums.get(name, 0.0) + float(values.sum())
