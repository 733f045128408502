"""What is known of a model's routing: the loads of its experts, layer by layer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from condsim.registry import Registry

QUANTILES = (0.0, 0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 1.0)
"""Quantiles of the experts' loads, unless all of them are given."""


@dataclass(frozen=True)
class Statistics:
    """Of one model.

    loads: depth of a layer, 0 (first) to 1 (last) → load / mean of its experts in ascending order,
        at evenly spread ranks, or at QUANTILES where there are as many.
    pair_bits: mutual information of the first choices of two layers, bits; the least that is known
        of layers that follow each other. 0 where nothing is known.
    """

    name: str
    source: str
    loads: Mapping[float, Sequence[float]]
    pair_bits: float = 0.0

    def shares(self, depth: float, experts: int) -> np.ndarray:
        """Return load / mean of the experts of a layer, in ascending order, float [experts].

        Between the layers that are known, and for other numbers of experts, logarithms are
        interpolated.
        """
        depths = sorted(self.loads)
        at_ranks = np.stack([_log_loads(self.loads[known], experts) for known in depths])
        loads = np.exp([np.interp(depth, depths, of_rank) for of_rank in at_ranks.T])
        even: np.ndarray = loads / loads.mean()
        return even

    @property
    def lift_sigma(self) -> float:
        """The spread of ln lift that gives `pair_bits`: half its square is the information."""
        return math.sqrt(2 * math.log(2) * self.pair_bits)


def _log_loads(loads: Sequence[float], experts: int) -> np.ndarray:
    levels = QUANTILES if len(loads) == len(QUANTILES) else np.linspace(0, 1, len(loads))
    ranks = np.linspace(0, 1, experts)
    return np.interp(ranks, levels, np.log(loads))


STATISTICS: Registry[Statistics] = Registry("routing")
"""Name → what was published of a model's routing."""


def published(statistics: Statistics) -> Statistics:
    """Enter statistics under their name."""
    return STATISTICS.register(statistics.name)(statistics)
