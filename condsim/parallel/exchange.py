"""What exchanges between ranks take: dispatch and combine of tokens, and collectives.

An exchange ends when its busiest rank has sent, and taken in, all that it has to.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np

from condsim.parallel.fabric import Fabric, Link
from condsim.registry import Registry

DISPATCH, COMBINE = "dispatch", "combine"


@dataclass(frozen=True)
class Sent:
    """Tokens that travel to the ranks of their experts, and back, in n steps.

    tokens: of each rank, [n, ranks]. routes: from each rank to each, one an expert that is chosen,
    [n, ranks, ranks]; copies: one a distinct rank; node_copies: to each node, one a distinct node,
    [n, ranks, nodes].
    width: elements of a token. element_bytes: of one on the wire. top_k, experts: of the layer.
    """

    tokens: np.ndarray
    routes: np.ndarray
    copies: np.ndarray
    node_copies: np.ndarray
    width: int
    element_bytes: float
    top_k: int
    experts: int

    @property
    def token_bytes(self) -> float:
        return self.width * self.element_bytes

    @property
    def ranks(self) -> int:
        return int(self.copies.shape[-1])


class Exchange(ABC):
    """A way to send tokens to their experts, and back. Registered in `EXCHANGES`."""

    name: str

    @abstractmethod
    def seconds(self, sent: Sent, phase: str, fabric: Fabric) -> np.ndarray:
        """Return the seconds of each step, float [n]. phase: "dispatch" or "combine"."""


EXCHANGES: Registry[Exchange] = Registry("exchange")


def exchange_of(name: str | None, fabric: Fabric, phase: str) -> Exchange:
    """Return an exchange by name; None for what the fabric's devices use in a phase ("prefill",
    "decode"). Raises CondsimError for an unknown name."""
    if name is None:
        name = fabric.exchanges.get(phase, "links")
    return EXCHANGES[name]


def busiest(sent: np.ndarray) -> np.ndarray:
    """Return the most that a rank sends or takes in, what it keeps counted, [...].

    sent: from each rank to each, [..., ranks, ranks].
    """
    sends_most = sent.sum(-1).max(-1)
    takes_most = sent.sum(-2).max(-1)
    most: np.ndarray = np.maximum(sends_most, takes_most)
    return most


def between_ranks(sent: np.ndarray, group: int = 1) -> np.ndarray:
    """Return what moves between groups of ranks, zeros inside of them, [..., ranks, ranks].

    group: ranks of a group, as of a node.
    """
    groups = sent.shape[-1] // group
    inside = np.kron(np.eye(groups, dtype=bool), np.ones((group, group), bool))
    return np.where(inside, 0, sent)


def all_to_all_seconds(copies: np.ndarray, token_bytes: float, fabric: Fabric) -> np.ndarray:
    """Return the seconds of sending tokens over a fabric's links, float [n]: `start + bytes /
    bandwidth`, over several nodes that of the slower of both kinds of links, which run at once.

    copies: tokens from each rank to each, [n, ranks, ranks].
    """
    ranks = copies.shape[-1]
    nodes = fabric.nodes(ranks)
    inside = between_ranks(copies) - between_ranks(copies, ranks // nodes)
    inside_s = link_seconds(busiest(inside) * token_bytes, fabric.inside)
    if fabric.between is None or nodes == 1:
        return inside_s
    across = busiest(between_ranks(copies, ranks // nodes))
    across_s = link_seconds(across * token_bytes, fabric.between)
    slower: np.ndarray = np.maximum(inside_s, across_s)
    return slower


def link_seconds(moved: np.ndarray, link: Link) -> np.ndarray:
    """Return the seconds that bytes take over a device's link, float like `moved`."""
    seconds: np.ndarray = link.start.value + link.moving_s(moved)
    return seconds


def all_reduce_seconds(size: np.ndarray, ranks: int, link: Link) -> np.ndarray:
    """Return the seconds of an all-reduce, float [n]. size: bytes of a rank's whole buffer, [n].

    A ring moves 2 (ranks - 1) / ranks of it over each link. Source: Patarasuk and Yuan, 2009,
    "Bandwidth optimal all-reduce algorithms for clusters of workstations".
    """
    return _ring_seconds(size, 2 * (ranks - 1), ranks, link)


def reduced_seconds(size: Any, ranks: int, fabric: Fabric) -> Any:
    """Return the seconds of an all-reduce as serving engines do it: the fastest of their ways, or
    a ring where the fabric has none or several nodes.

    size: bytes of a rank's buffer, number or array.
    """
    ways = fabric.all_reduce
    if ways is None or fabric.nodes(ranks) > 1:
        return all_reduce_seconds(np.asarray(size), ranks, fabric.slowest(ranks))
    others = ranks - 1
    twice = 2 * others / ranks
    one_shot_s = ways.one_shot.start.value + size * others / ways.one_shot.bandwidth.value
    two_shot_s = ways.two_shot.start.value + size * twice / ways.two_shot.bandwidth.value
    many_s = ways.many.start.value + size * twice / ways.many.bandwidth.value
    return np.minimum(np.minimum(one_shot_s, two_shot_s), many_s)


def all_gather_seconds(size: np.ndarray, ranks: int, link: Link) -> np.ndarray:
    """Return the seconds of an all-gather, a reduce-scatter or an even all-to-all, each of which
    moves (ranks - 1) / ranks, float [n]. size: bytes of the whole buffer, [n]."""
    return _ring_seconds(size, ranks - 1, ranks, link)


def _ring_seconds(size: np.ndarray, hops: int, ranks: int, link: Link) -> np.ndarray:
    """Seconds of `hops` messages, each of a part of the buffer, one after the other."""
    if ranks == 1:
        return np.zeros(np.shape(size))
    hop_s = 0.0 if link.hop is None else link.hop.value
    begins_s = link.start.value + hops * hop_s
    seconds: np.ndarray = begins_s + link.moving_s(size * hops / ranks)
    return seconds
