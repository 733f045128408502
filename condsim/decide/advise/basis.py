"""Which number moves the speedup most, of those that a prediction rests on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm, qmc, sobol_indices

from condsim.predict.intervals import Sources

DRAWS = 1024
"""Of each of the two samples that Sobol indices are from; a power of 2."""
EVICTED = "evicted weights"
INPUTS = 3
"""Normal draws of a source: that both sides share, of the conditional side, of the baseline."""


def sensitivity(sources: Sources) -> pd.DataFrame:
    """Return how much of the variance of log speedup each source makes, the most first.

    A row a source: source, share (the sum of the first-order Sobol indices of its draws), total
    (of their total-order ones, which count what it does together with others), uncertainty
    (relative standard deviation, as the interval takes it), seconds (of both sides).
    Source: Sobol, 2001; Saltelli et al., 2010, as `scipy.stats.sobol_indices` has them.
    """
    names = [*sources.names, EVICTED]
    first, second = _samples(len(names) * INPUTS)
    mixed = _mixed(first, second)
    said = {"f_A": _log(sources, first), "f_B": _log(sources, second)}
    of_mixed = np.stack([_log(sources, sample) for sample in mixed])
    if np.ptp(said["f_A"]) == 0:
        return pd.DataFrame(columns=["source", "share", "total", "uncertainty", "seconds"])
    values: Any = {name: value[None, :] for name, value in said.items()}
    indices = sobol_indices(func=values | {"f_AB": of_mixed[:, None, :]}, n=DRAWS)
    first_order = np.ravel(indices.first_order).reshape(len(names), INPUTS)
    total_order = np.ravel(indices.total_order).reshape(len(names), INPUTS)
    table = pd.DataFrame(
        {
            "source": names,
            "share": np.clip(first_order, 0, 1).sum(axis=1),
            "total": np.clip(total_order, 0, 1).sum(axis=1),
            "uncertainty": [_uncertainty(sources, name) for name in names],
            "seconds": [_seconds(sources, name) for name in names],
        }
    )
    moves = table[table["seconds"] > 0]
    return moves.sort_values("share", ascending=False, kind="stable").reset_index(drop=True)


def _samples(inputs: int) -> tuple[np.ndarray, np.ndarray]:
    """Two independent samples of standard normal draws, float [DRAWS, inputs]."""
    uniform = qmc.Sobol(d=2 * inputs, seed=np.random.default_rng(0)).random(DRAWS)
    inside = np.clip(uniform, 1e-12, 1 - 1e-12)
    normal = norm.ppf(inside)
    return normal[:, :inputs], normal[:, inputs:]


def _mixed(first: np.ndarray, second: np.ndarray) -> list[np.ndarray]:
    """The first sample with one input of the second, for each input."""
    mixed = []
    for number in range(first.shape[1]):
        sample = first.copy()
        sample[:, number] = second[:, number]
        mixed.append(sample)
    return mixed


def _log(sources: Sources, sample: np.ndarray) -> np.ndarray:
    """Log speedup of each draw, float [draws]. sample: float [draws, sources * INPUTS]."""
    shared, own_c, own_b = (sample[:, which::INPUTS] for which in range(INPUTS))
    logarithm: np.ndarray = np.log(sources.speedups(shared, own_c, own_b))
    return logarithm


def _uncertainty(sources: Sources, name: str) -> float:
    """Relative standard deviation of a source."""
    factor = sources.spread.factor
    if name != EVICTED:
        return factor * sources.spread.uncertainty[name]
    seconds = _seconds(sources, name)
    deviation = sum(side.evicted[1] for side in (sources.conditional, sources.baseline))
    return factor * deviation / seconds if seconds else 0.0


def _seconds(sources: Sources, name: str) -> float:
    """Seconds of both sides that rest on a source."""
    sides = (sources.conditional, sources.baseline)
    if name == EVICTED:
        return float(sum(side.evicted[0] for side in sides))
    return float(sum(side.by_source.get(name, 0.0) for side in sides))
