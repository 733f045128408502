"""How much of what production does a trace has done."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from condsim.decide.things import Things, things_of
from condsim.decide.units import Units
from condsim.trace import Trace

PRODUCTION_COLUMNS = ["kind", "site", "tested_mass", "low", "high", "untested", "only_tested"]
RESAMPLES = 999


def production_tested(trace: Trace, production: Trace) -> pd.DataFrame:
    """Return how much of what production does a trace has done: a row a kind and site.

    tested_mass: the share of what rows of production do that some row of the trace did, low and
    high: its 90 % interval over sequences. untested: things that only production does.
    only_tested: things that only the trace does.
    """
    return production_tested_by(list(things_of(trace, Units.of(trace))), production)


def production_tested_by(things: list[Things], production: Trace) -> pd.DataFrame:
    """Return the same of a trace whose things are known."""
    units = Units.of(production)
    of_production = {(other.kind, other.site): other for other in things_of(production, units)}
    rows = []
    for tested in things:
        other = of_production.get((tested.kind, tested.site))
        if other is not None:
            rows.append(_tested_row(tested, other, units))
    return pd.DataFrame(rows, columns=PRODUCTION_COLUMNS)


def _tested_row(tested: Things, other: Things, units: Units) -> dict[str, Any]:
    known = np.unique(tested.keys)
    distinct, numbers = np.unique(other.keys, return_inverse=True)
    is_known = np.isin(distinct, known)[numbers]
    of_unit = np.bincount(other.unit, minlength=units.count)
    known_of_unit = np.bincount(other.unit, weights=is_known, minlength=units.count)
    low, high = _interval(known_of_unit, of_unit)
    return {
        "kind": tested.kind,
        "site": tested.site,
        "tested_mass": float(is_known.mean()) if len(is_known) else 1.0,
        "low": low,
        "high": high,
        "untested": int((~np.isin(distinct, known)).sum()),
        "only_tested": int((~np.isin(known, distinct)).sum()),
    }


def _interval(known: np.ndarray, rows: np.ndarray) -> tuple[float, float]:
    """The 90 % interval of Σ known / Σ rows, by drawing sequences with replacement."""
    rng = np.random.default_rng(0)
    drawn = rng.integers(0, len(rows), (RESAMPLES, len(rows)))
    shares = known[drawn].sum(axis=1) / np.maximum(rows[drawn].sum(axis=1), 1)
    low, high = np.quantile(shares, (0.05, 0.95))
    return float(low), float(high)
