"""Experts by load."""

from __future__ import annotations

import numpy as np

from condsim.parallel.placement import Cluster
from condsim.parallel.placements.by_load import ByLoad


def test_ranks_are_more_even_than_in_order() -> None:
    counts = np.array([8, 7, 6, 5, 4, 3, 2, 1])
    placed = ByLoad().place(counts, Cluster(ranks=4, slots=8))
    assert sorted(placed.tolist()) == list(range(8))
    assert counts[placed].reshape(4, 2).sum(1).tolist() == [9, 9, 9, 9]
