"""The smallest set of units that has everything that all of them have: a set cover."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array

from condsim.decide.coverage.incidence import Incidence

SECONDS = 20.0
"""That the exact search may take."""
MOST_PAIRS = 3_000_000
"""Of a unit and a thing: with more only the greedy set is looked for."""


@dataclass(frozen=True)
class TestSet:
    """Units that together have all things.

    units: their numbers, in order of capture. of: how many units there are. things: that they
    show. at_least: units that any such set has; gap = (units - at_least) / units, 0 where the set
    is the smallest.
    """

    units: tuple[int, ...]
    of: int
    things: int
    at_least: int

    __test__ = False  # of pytest, which collects classes of this name

    @property
    def gap(self) -> float:
        """How much smaller another set could be, as a share of this one."""
        return 1 - self.at_least / max(len(self.units), 1)


def smallest_set(incidence: Incidence) -> TestSet:
    """Return the smallest set of units that has every thing that some unit has.

    Weighted set cover, solved by HiGHS (`scipy.optimize.milp`) within `SECONDS`; what it finds by
    then comes with the bound that it has proved. A greedy set is the fallback, at most 1 + ln n
    times as large (Chvátal, 1979).
    """
    needed, matrix = _reduced(incidence)
    chosen = _greedy(matrix)
    at_least = 1 if len(needed) else 0
    if matrix.nnz and matrix.nnz <= MOST_PAIRS:
        chosen, at_least = _exact(matrix, chosen)
    units = tuple(int(unit) for unit in np.sort(chosen))
    return TestSet(units, incidence.units, incidence.seen, at_least)


def _reduced(incidence: Incidence) -> tuple[np.ndarray, csr_array]:
    """The things that make a difference, and which unit has which of them [things, units].

    Things that the same units have are one.
    """
    shape = (incidence.things, incidence.units)
    ones = np.ones(len(incidence.unit), np.int8)
    matrix = csr_array((ones, (incidence.thing, incidence.unit)), shape=shape)
    first: dict[bytes, int] = {}
    for thing in range(incidence.things):
        units = matrix.indices[matrix.indptr[thing] : matrix.indptr[thing + 1]]
        if len(units):
            first.setdefault(np.sort(units).tobytes(), thing)
    needed = np.array(list(first.values()), np.int64)
    return needed, matrix[needed] if len(needed) else csr_array((0, incidence.units))


def _greedy(matrix: csr_array) -> np.ndarray:
    """Units, each of which has most things that those before it lack."""
    of_unit = matrix.T.tocsr()
    missing = np.ones(matrix.shape[0], bool)
    chosen = []
    while missing.any():
        gains = of_unit @ missing.astype(np.int64)
        best = int(np.argmax(gains))
        chosen.append(best)
        missing[of_unit.indices[of_unit.indptr[best] : of_unit.indptr[best + 1]]] = False
    return np.array(chosen, np.int64)


def _exact(matrix: csr_array, greedy: np.ndarray) -> tuple[np.ndarray, int]:
    """The smallest set that was found in time, and how many units any has."""
    count = matrix.shape[1]
    found = milp(
        np.ones(count),
        integrality=np.ones(count, np.int8),
        bounds=Bounds(0, 1),
        constraints=LinearConstraint(matrix.astype(float), lb=1),
        options={"time_limit": SECONDS},
    )
    bound = getattr(found, "mip_dual_bound", None)
    at_least = 1 if bound is None else int(np.ceil(bound - 1e-6))
    if found.x is None:
        return greedy, at_least
    chosen = np.flatnonzero(found.x > 0.5)
    return (chosen if len(chosen) <= len(greedy) else greedy), at_least
