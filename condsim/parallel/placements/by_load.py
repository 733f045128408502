"""Experts by load: the heaviest first, each onto the lightest rank that has room."""

from __future__ import annotations

import numpy as np

from condsim.parallel.packing import packed, slots_in_order
from condsim.parallel.placement import PLACERS, Cluster, Placer, one_slot_each


class ByLoad(Placer):
    """Source: Graham, "Bounds on multiprocessing timing anomalies", 1969 (longest first)."""

    name = "by-load"

    def place(self, counts: np.ndarray, cluster: Cluster) -> np.ndarray:
        one_slot_each(self.name, len(counts), cluster)
        return slots_in_order(packed(counts, cluster.ranks), cluster.ranks)


PLACERS.register(ByLoad.name)(ByLoad())
