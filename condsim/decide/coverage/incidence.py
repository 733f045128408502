"""Estimates of what was not seen, from how many units each thing was seen in.

The unit is a sequence or an image. T: units. Q1, Q2: things that one unit has, that two have.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from condsim.decide.things import Things
from condsim.decide.units import Units

MOVES = 0.25
"""An estimate that changes by so much of itself where units are joined in pairs is doubtful."""
MOVES_AT_ALL = 0.01


@dataclass(frozen=True)
class Incidence:
    """Which units have which things: each pair once.

    unit, thing: int [pairs]. rows: that did it, int [pairs]. units, things: how many there are.
    """

    unit: np.ndarray
    thing: np.ndarray
    rows: np.ndarray
    units: int
    things: int

    @classmethod
    def of(
        cls,
        unit: np.ndarray,
        thing: np.ndarray,
        units: int,
        things: int,
        rows: np.ndarray | None = None,
    ) -> Incidence:
        """Return the pairs of what was done, each once.

        unit, thing: int [n]. rows: that did it, int [n]; None for one each.
        """
        number = unit.astype(np.int64) * max(things, 1) + thing
        pairs, place = np.unique(number, return_inverse=True)
        of_pair = np.bincount(place, weights=rows, minlength=len(pairs)).astype(np.int64)
        return cls(pairs // max(things, 1), pairs % max(things, 1), of_pair, units, things)

    @cached_property
    def counts(self) -> np.ndarray:
        """In how many units each thing was seen, int [things]."""
        return np.bincount(self.thing, minlength=self.things)

    @property
    def seen(self) -> int:
        """Things that some unit has."""
        return int((self.counts > 0).sum())

    @property
    def once(self) -> int:
        """Q1."""
        return int((self.counts == 1).sum())

    @property
    def twice(self) -> int:
        """Q2."""
        return int((self.counts == 2).sum())

    @property
    def unseen_mass(self) -> float:
        """The share of the rows of a new unit that do what no unit here has done.

        R1/R * (T-1)Q1 / ((T-1)Q1 + 2 Q2), R1 of R rows doing what their own unit alone does. R1/R
        is how each unit fares against all others, so it is right for T - 1 units however alike
        rows of a unit are (Good, 1953, with a unit for an individual); the rest takes it to T
        (Chao and Jost, 2012). 1 where nothing was seen, or in one unit only.
        """
        total = int(self.rows.sum())
        if total == 0 or self.units < 2:
            return 1.0
        q1, q2, others = self.once, self.twice, self.units - 1
        if q1 == 0:
            return 0.0
        if q2 == 0:
            shrink = others * (q1 - 1) / (others * (q1 - 1) + 2)
        else:
            shrink = others * q1 / (others * q1 + 2 * q2)
        alone = int(self.rows[self.counts[self.thing] == 1].sum())
        return alone / total * shrink

    @property
    def hidden(self) -> float:
        """A lower bound of the things that were not seen: (T-1)/T * Q1(Q1-1) / 2(Q2+1).

        Chao2, bias-corrected: Chao, 1987.
        """
        share = (self.units - 1) / max(self.units, 1)
        return share * self.once * (self.once - 1) / (2 * (self.twice + 1))

    def at_least(self, possible: float) -> tuple[float, float, float]:
        """Return (estimate, low, high) of how many things there are: "at least" so many.

        possible: how many there can be. The 95 % interval is log-normal (Chao, 1987).
        """
        hidden = self.hidden
        if hidden <= 0:
            return self.seen, self.seen, self.seen
        variance = self._variance()
        ratio = math.exp(1.96 * math.sqrt(math.log(1 + variance / hidden**2)))
        ends = (hidden, hidden / ratio, hidden * ratio)
        estimate, low, high = (min(self.seen + more, possible) for more in ends)
        return estimate, low, high

    def _variance(self) -> float:
        """Of `hidden`. Colwell, EstimateS, appendix B, for bias-corrected Chao2."""
        share = (self.units - 1) / self.units
        q1, q2 = self.once, self.twice
        first = share * q1 * (q1 - 1) / (2 * (q2 + 1))
        second = share**2 * q1 * (2 * q1 - 1) ** 2 / (4 * (q2 + 1) ** 2)
        third = share**2 * q1**2 * q2 * (q1 - 1) ** 2 / (4 * (q2 + 1) ** 4)
        return first + second + third

    @property
    def new_if_doubled(self) -> float:
        """Things that as many units more would show first; beyond that nothing can be said.

        Q0 (1 - (1 - Q1 / (T Q0 + Q1))^T) with Q0 of Chao2: Chao et al., 2009.
        """
        hidden, q1 = self.hidden, self.once
        if hidden <= 0:
            return 0.0
        share = q1 / (self.units * hidden + q1)
        return float(hidden * (1 - (1 - share) ** self.units))

    def in_pairs(self) -> Incidence:
        """Return the same of units that follow each other joined in pairs; an odd one is left
        out."""
        whole = self.units // 2 * 2
        unit = np.where(self.unit < whole, self.unit // 2, -1)
        kept = unit >= 0
        return Incidence.of(unit[kept], self.thing[kept], whole // 2, self.things, self.rows[kept])

    @property
    def doubtful(self) -> bool:
        """Whether the unseen mass depends on what a unit is: it changes where units that follow
        each other are joined in pairs, so that they are alike, or too few."""
        if self.units < 4:
            return True
        mass = self.unseen_mass
        joined = self.in_pairs().unseen_mass
        moved = abs(joined - mass)
        return moved > max(MOVES * mass, MOVES_AT_ALL)


def incidence_of(things: Things, units: Units) -> Incidence:
    """Return which units did which things."""
    distinct, numbers = np.unique(things.keys, return_inverse=True)
    return Incidence.of(things.unit, numbers, units.count, len(distinct))
