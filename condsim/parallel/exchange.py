"""What exchanges between ranks take: dispatch, combine, and collectives.

An exchange takes `start + bytes / bandwidth` of its busiest rank, by what it sends or takes in; over
several nodes that of the slower of both kinds of links, which run at once.
"""

from __future__ import annotations

import numpy as np

from condsim.parallel.fabric import Fabric, Link


def busiest(sent: np.ndarray) -> np.ndarray:
    """Return the most that a rank sends to others or takes in, [...].

    sent: from each rank to each, [..., ranks, ranks]; what stays on a rank moves over no link.
    """
    moved = sent * ~np.eye(sent.shape[-1], dtype=bool)
    most: np.ndarray = np.maximum(moved.sum(-1).max(-1), moved.sum(-2).max(-1))
    return most


def all_to_all_seconds(copies: np.ndarray, token_bytes: float, fabric: Fabric) -> np.ndarray:
    """Return the seconds of dispatch, or of combine, which sends the same back, float [steps].

    copies: tokens from each rank to each, one a distinct rank, [steps, ranks, ranks].
    token_bytes: of one token on the wire.
    """
    ranks = copies.shape[-1]
    if ranks == 1:
        return np.zeros(len(copies))
    nodes = fabric.nodes(ranks)
    same_node = np.kron(np.eye(nodes, dtype=bool), np.ones((ranks // nodes,) * 2, bool))
    inside_s = _seconds(busiest(copies * same_node) * token_bytes, fabric.inside)
    if nodes == 1 or fabric.between is None:
        return inside_s
    across = busiest(copies * ~same_node) * token_bytes
    return np.maximum(inside_s, _seconds(across, fabric.between))


def _seconds(moved: np.ndarray, link: Link) -> np.ndarray:
    seconds: np.ndarray = link.start.value + moved / link.bandwidth.value
    return seconds


def all_reduce_seconds(size: float, ranks: int, link: Link) -> float:
    """Return the seconds of an all-reduce. size: bytes of a rank's whole buffer.

    A ring moves 2 (ranks - 1) / ranks of it over each link. Source: Patarasuk and Yuan, 2009,
    "Bandwidth optimal all-reduce algorithms for clusters of workstations".
    """
    return _ring_seconds(2 * size * (ranks - 1) / ranks, ranks, link)


def all_gather_seconds(size: float, ranks: int, link: Link) -> float:
    """Return the seconds of an all-gather, or of a reduce-scatter, which moves as much the other
    way. size: bytes of what every rank has in the end."""
    return _ring_seconds(size * (ranks - 1) / ranks, ranks, link)


def _ring_seconds(moved: float, ranks: int, link: Link) -> float:
    return 0.0 if ranks == 1 else link.start.value + moved / link.bandwidth.value
