"""The noise floor: the same inputs captured twice decide nearly, but not always, alike."""

from __future__ import annotations

import numpy as np
import pandas as pd

from condsim.errors import CondsimError
from condsim.trace import Trace


def noise_floor(one: Trace, again: Trace) -> pd.DataFrame:
    """Return how often two captures of the same inputs differ: a row a site.

    flips: share of a row's branches that changed, 1 - |A ∩ B| / k, the mean over rows. rows: share
    of the rows with any change. distance: total variation of the load.
    Raises CondsimError where the two have not the same rows.
    """
    table = []
    for site in one.sites:
        ids = [trace.decisions(site.name).ids for trace in (one, again)]
        if ids[0].shape != ids[1].shape:
            raise CondsimError(
                f"traces {one.name!r} and {again.name!r} have not the same rows at site "
                f"{site.name!r} ({len(ids[0]):,} and {len(ids[1]):,}): capture the inputs twice"
            )
        taken = [_taken(of_trace, site.branches) for of_trace in ids]
        flips = _flips(taken[0], taken[1])
        loads = [rows.sum(axis=0) / max(rows.sum(), 1) for rows in taken]
        distance = 0.5 * np.abs(loads[0] - loads[1]).sum()
        row = {"site": site.name, "flips": float(flips.mean()), "rows": float((flips > 0).mean())}
        table.append(row | {"distance": float(distance)})
    return pd.DataFrame(table)


def _taken(ids: np.ndarray, branches: int) -> np.ndarray:
    """Which branches a row takes, bool [rows, branches]."""
    if ids.dtype == bool:
        return ids
    wide = ids.reshape(len(ids), -1)
    taken = np.zeros((len(wide), branches + 1), bool)
    np.put_along_axis(taken, np.where(wide < 0, branches, wide).astype(np.int64), True, axis=1)
    return taken[:, :branches]


def _flips(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Share of a row's branches that changed, float [rows]."""
    both = (one & other).sum(axis=1)
    most = np.maximum(one.sum(axis=1), other.sum(axis=1))
    flips: np.ndarray = 1 - both / np.maximum(most, 1)
    return np.where(most > 0, flips, 0.0)
