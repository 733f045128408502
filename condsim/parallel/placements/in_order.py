"""Experts in order: the first ones on the first rank, and so on."""

from __future__ import annotations

import numpy as np

from condsim.parallel.placement import PLACERS, Cluster, Placer, one_slot_each


class InOrder(Placer):
    name = "in-order"

    def place(self, counts: np.ndarray, cluster: Cluster) -> np.ndarray:
        one_slot_each(self.name, len(counts), cluster)
        return np.arange(cluster.slots)


PLACERS.register(InOrder.name)(InOrder())
