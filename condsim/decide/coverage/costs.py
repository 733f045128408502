"""What inputs cost in seconds: those that were seen, and the worst and best that could be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from condsim.decide.subject import SHARE, SKEW, TraceSubject
from condsim.decide.units import Units
from condsim.hardware import HardwareProfile
from condsim.predict.simulate import simulate
from condsim.steps.rebatch import rebatch
from condsim.trace import Trace

MOST_UNITS = 512
"""Unit-steps that are priced where nobody says how many."""
OF_DRAWN = 32
"""Unit-steps that are priced where routing is drawn: they hardly differ."""
EVEN, TO_FEW = 0.0, 50.0
"""Skews at which the most experts are touched, and the fewest."""
BINS = 10
"""Parts of the cost range, each of which an input stands for."""


@dataclass(frozen=True)
class Costs:
    """Seconds of unit-steps alone (batch 1).

    unit: sequence or image of each, int [n]. seconds: float [n]. structural: seconds of the
    cheapest and of the dearest routing that there can be, as far as they were found: the extremes
    that were drawn, or what was observed beyond them. phase: that was priced.
    """

    unit: np.ndarray
    seconds: np.ndarray
    structural: tuple[float, float]
    phase: str

    @property
    def worst_unit(self) -> int:
        """The sequence or image with the dearest unit-step."""
        return int(self.unit[np.argmax(self.seconds)])

    @property
    def share_of_range(self) -> float:
        """How much of the range from the cheapest to the dearest routing was seen."""
        cheapest, dearest = self.structural
        if dearest == cheapest:
            return 1.0
        return float(np.ptp(self.seconds)) / (dearest - cheapest)

    def bins(self) -> np.ndarray:
        """Return which of `BINS` even parts of the observed range each lies in, int [n]."""
        lowest, highest = float(self.seconds.min()), float(self.seconds.max())
        if highest == lowest:
            return np.zeros(len(self.seconds), np.int64)
        share = (self.seconds - lowest) / (highest - lowest)
        bins: np.ndarray = np.minimum((share * BINS).astype(np.int64), BINS - 1)
        return bins


def costs_of(
    trace: Trace, profile: HardwareProfile, units: Units, most: int = MOST_UNITS, **scenario: Any
) -> Costs:
    """Price the units of a trace one at a time, `most` evenly chosen ones at most.

    scenario: fields of `condsim.Scenario`, phase among them. Raises CondsimError as
    `condsim.simulate` does.
    """
    options = {"phase": None, **scenario, "batch": 1}
    cut = rebatch(trace, 1, options["phase"], options.get("threshold"))
    chosen = _evenly(len(cut), most)
    prediction = simulate(trace, profile, **options, steps=chosen)
    unit_step = cut.units[np.asarray(chosen)]
    seconds = prediction.steps["conditional_s"].to_numpy()
    possible = [*seconds.tolist(), *_structural(trace, profile, options)]
    structural = min(possible), max(possible)
    return Costs(units.of_step[unit_step], seconds, structural, prediction.phase)


def _structural(trace: Trace, profile: HardwareProfile, options: dict[str, Any]) -> Iterator[float]:
    """Seconds of the cheapest and dearest unit-step under the extremes of routing.

    Of mixtures of experts: all alike, which touches the most experts, and all rows to the same few.
    Of all else: no row takes the costly branch, and every row does.
    """
    subject = TraceSubject(trace)
    for least in (True, False):
        variant: dict[str, float] = {}
        if SHARE in subject.axes:
            variant[SHARE] = 0.0 if least else 1.0
        if SKEW in subject.axes:
            variant[SKEW] = TO_FEW if least else EVEN
        drawn = subject.trace(variant)
        count = len(rebatch(drawn, 1, options["phase"]))
        chosen = _evenly(count, OF_DRAWN)
        steps = simulate(drawn, profile, **options, steps=chosen).steps["conditional_s"]
        yield float(steps.min())
        yield float(steps.max())


def _evenly(count: int, most: int) -> list[int]:
    """Numbers of steps, evenly spaced."""
    if count <= most:
        return list(range(count))
    spaced: list[int] = np.unique(np.linspace(0, count - 1, most).astype(int)).tolist()
    return spaced
