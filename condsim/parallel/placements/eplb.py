"""DeepSeek's expert-parallel load balancer: heavy experts have redundant copies.

Source: DeepSeek-AI, "DeepSeek-V3 Technical Report", sections 3.4.1 and 3.4.2; deepseek-ai/EPLB,
README.
"""

from __future__ import annotations

import numpy as np

from condsim.parallel.packing import packed, slots_in_order, with_copies
from condsim.parallel.placement import PLACERS, Cluster, Placer


class Eplb(Placer):
    """Hierarchical where the nodes divide the groups of experts: groups are packed onto nodes, and
    experts are copied and packed inside of each. Else global, as if there were one node."""

    name = "eplb"

    def place(self, counts: np.ndarray, cluster: Cluster) -> np.ndarray:
        hierarchical = cluster.groups % cluster.nodes == 0
        nodes, groups = (cluster.nodes, cluster.groups) if hierarchical else (1, 1)
        loads = np.asarray(counts, np.float32)
        load_of_group = loads.reshape(groups, -1).sum(1)
        group_order = slots_in_order(packed(load_of_group, nodes), nodes)
        experts = np.arange(len(loads)).reshape(groups, -1)[group_order]
        slots = [_of_node(loads, held, cluster, nodes) for held in experts.reshape(nodes, -1)]
        return np.concatenate(slots)


def _of_node(loads: np.ndarray, held: np.ndarray, cluster: Cluster, nodes: int) -> np.ndarray:
    """The expert of each slot of one node. held: experts of the node."""
    of_node = loads[held]
    item_of, copies = with_copies(of_node, cluster.slots // nodes)
    load_of_slot = (of_node / copies)[item_of]
    ranks = cluster.ranks // nodes
    order = slots_in_order(packed(load_of_slot, ranks), ranks)
    slots: np.ndarray = held[item_of[order]]
    return slots


PLACERS.register(Eplb.name)(Eplb())
