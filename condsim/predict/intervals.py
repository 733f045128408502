"""How sure a prediction is: seeded draws of what its seconds rest on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

Interval = tuple[float, float]

DRAWS = 200
SHARED = 0.5
"""Share of a table's error variance that both sides have in common: the machine differs from the
calibrated one. The rest is not shared: the shapes differ."""

CONFORMAL = {"eager": 1.9, "compiled": 6.5}
"""How many times as wide as their tables' uncertainties say intervals on a calibrated profile are,
eager and in a CPU's compiled graphs.

The first is the split-conformal factor of eight runs of `make accuracy` on four processors, each of
which weighs the same; with that of three of them, 86 to 96 % of the intervals on the fourth hold.
The second is that of the development half of the compiled run. `docs/accuracy.md` has both.
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
        evicted, _ = self.evicted
        total = sum(self.by_source.values()) + evicted
        if self.clocked is None or total == 0:
            return 1.0
        return self.clocked / total


@dataclass(frozen=True)
class Spread:
    """How far seconds may be off. uncertainty: source → relative standard deviation.
    factor: how many times as wide (`CONFORMAL`)."""

    uncertainty: Mapping[str, float]
    factor: float = 1.0
    seed: int = field(default=0)


@dataclass(frozen=True)
class Sources:
    """What a prediction's seconds rest on: of both sides, and how far each may be off."""

    conditional: SideSeconds
    baseline: SideSeconds
    spread: Spread

    @property
    def names(self) -> list[str]:
        """Tables, rates and host costs of both sides. Evicted weights come after them."""
        return sorted({*self.conditional.by_source, *self.baseline.by_source})

    def speedups(self, shared: np.ndarray, own_c: np.ndarray, own_b: np.ndarray) -> np.ndarray:
        """Return the speedup in each draw, float [draws].

        Standard normal draws [draws, names + 1]: that both sides have in common, and of each side.
        """
        conditional_s = self.seconds(self.conditional, mixed(shared, own_c))
        baseline_s = self.seconds(self.baseline, mixed(shared, own_b))
        speedup: np.ndarray = baseline_s / conditional_s
        return speedup

    def seconds(self, side: SideSeconds, normal: np.ndarray) -> np.ndarray:
        """Return the seconds of a side in each draw. normal: float [draws, names + 1]."""
        return _drawn(side, self.names, normal, self.spread)


def intervals(
    conditional: SideSeconds, baseline: SideSeconds, spread: Spread
) -> tuple[Interval, Interval]:
    """Return the 90 % intervals of (speedup, conditional seconds) from DRAWS seeded draws.

    Evicted weights are drawn as a sum and not as a factor, since what is near 0 may well be more;
    they are never negative.
    """
    sources = Sources(conditional, baseline, spread)
    columns = len(sources.names) + 1  # the last one: evicted weights
    normal_c, normal_b = _normal(spread.seed, columns)
    conditional_s = sources.seconds(conditional, normal_c)
    baseline_s = sources.seconds(baseline, normal_b)
    speedup = baseline_s / conditional_s
    return _middle_90(speedup), _middle_90(conditional_s)


@lru_cache(maxsize=64)
def _normal(seed: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Standard normal draws of both sides, float [draws, columns] each."""
    rng = np.random.default_rng(seed)
    shared, own_c, own_b = rng.standard_normal((3, DRAWS, columns))
    return mixed(shared, own_c), mixed(shared, own_b)


def _middle_90(draws: np.ndarray) -> Interval:
    shares = np.linspace(0, 1, len(draws))
    low, high = np.interp((0.05, 0.95), shares, np.sort(draws))
    return float(low), float(high)


def mixed(shared: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Return standard normal draws whose variance is SHARED with the other side."""
    of_shared = math.sqrt(SHARED) * shared
    of_own = math.sqrt(1 - SHARED) * own
    drawn: np.ndarray = of_shared + of_own
    return drawn


def _drawn(side: SideSeconds, names: list[str], normal: np.ndarray, spread: Spread) -> np.ndarray:
    """Seconds of a side in each draw. normal: float [draws, sources + 1], standard normal."""
    uncertainty = np.array([spread.uncertainty[name] for name in names])
    seconds = np.array([side.by_source.get(name, 0.0) for name in names])
    relative = spread.factor * uncertainty
    of_sources = np.exp(relative * normal[:, :-1]) @ seconds
    evicted, deviation = side.evicted
    off_by = spread.factor * deviation * normal[:, -1]
    of_evicted = np.maximum(evicted + off_by, 0.0)
    drawn: np.ndarray = (of_sources + of_evicted) * side.overlap
    return drawn


def at_least(interval: Interval, value: float, error: float) -> Interval:
    """Return an interval that reaches from value / (1 + error) to value * (1 + error) at least."""
    low, high = interval
    least, most = value / (1 + error), value * (1 + error)
    return min(low, least), max(high, most)


def around(interval: Interval, value: float) -> Interval:
    """Return an interval that holds a value."""
    low, high = interval
    return min(low, value), max(high, value)
