"""How sure a prediction is: seeded draws of what its seconds rest on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

Interval = tuple[float, float]

DRAWS = 200
SHARED = 0.5
"""Share of a table's error variance that both sides have in common: the machine differs from the
calibrated one. The rest is not shared: the shapes differ."""

CONFORMAL = {"eager": 1.6, "compiled": 6.5}
"""How many times as wide as their tables' uncertainties say intervals on a calibrated profile are,
eager and in a CPU's compiled graphs.

They are the split-conformal factors of the development halves, of three runs of `make accuracy`
together and of the compiled run. Each run prints its own, and how many cases of the check half are
then inside: `docs/accuracy.md`.
"""


@dataclass(frozen=True)
class SideSeconds:
    """What the seconds of a side rest on, summed over its steps.

    by_source: table, rate or host cost → seconds. evicted: (seconds, standard deviation) of
    evicted weights. clocked: seconds of the side as its clocks run: fewer than the sum where host
    and device overlap; None for the sum.
    """

    by_source: Mapping[str, float]
    evicted: tuple[float, float] = (0.0, 0.0)
    clocked: float | None = None

    @property
    def overlap(self) -> float:
        """Seconds as the clocks run over the sum of all seconds."""
        total = sum(self.by_source.values()) + self.evicted[0]
        return 1.0 if self.clocked is None or not total else self.clocked / total


@dataclass(frozen=True)
class Spread:
    """How far seconds may be off. uncertainty: source → relative standard deviation.
    factor: how many times as wide (`CONFORMAL`)."""

    uncertainty: Mapping[str, float]
    factor: float = 1.0
    seed: int = field(default=0)


def intervals(
    conditional: SideSeconds, baseline: SideSeconds, spread: Spread
) -> tuple[Interval, Interval]:
    """Return the 90 % intervals of (speedup, conditional seconds) from DRAWS seeded draws.

    Evicted weights are drawn as a sum and not as a factor, since what is near 0 may well be more;
    they are never negative.
    """
    names = sorted({*conditional.by_source, *baseline.by_source})
    rng = np.random.default_rng(spread.seed)
    shared, own_c, own_b = rng.standard_normal((3, DRAWS, len(names) + 1))
    c = _drawn(conditional, names, _mixed(shared, own_c), spread)
    b = _drawn(baseline, names, _mixed(shared, own_b), spread)
    speedup = np.percentile(b / c, (5, 95))
    latency = np.percentile(c, (5, 95))
    return (float(speedup[0]), float(speedup[1])), (float(latency[0]), float(latency[1]))


def _mixed(shared: np.ndarray, own: np.ndarray) -> np.ndarray:
    mixed: np.ndarray = math.sqrt(SHARED) * shared + math.sqrt(1 - SHARED) * own
    return mixed


def _drawn(side: SideSeconds, names: list[str], normal: np.ndarray, spread: Spread) -> np.ndarray:
    """Seconds of a side in each draw. normal: float [draws, sources + 1], standard normal."""
    relative = spread.factor * np.array([spread.uncertainty[name] for name in names])
    seconds = np.array([side.by_source.get(name, 0.0) for name in names])
    of_sources = np.exp(relative * normal[:, :-1]) @ seconds
    evicted, deviation = side.evicted
    of_evicted = np.maximum(evicted + spread.factor * deviation * normal[:, -1], 0.0)
    drawn: np.ndarray = (of_sources + of_evicted) * side.overlap
    return drawn


def around(interval: Interval, value: float) -> Interval:
    """Return an interval that holds a value."""
    return min(interval[0], value), max(interval[1], value)
