"""DeepEP's kernels on Hopper: many tokens ("normal"), and few of them ("low-latency").

Constants are least squares on ai-dynamo/aiconfigurator h100_sxm/comm/sglang (0.5.12 on one node,
0.5.6.post2 between nodes); `python -m benchmarks.clusters` says how far off they are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from condsim.parallel.exchange import (
    DISPATCH,
    EXCHANGES,
    Exchange,
    Sent,
    between_ranks,
    busiest,
)
from condsim.parallel.fabric import Fabric

SMS = 132
"""Of a Hopper GPU; the low-latency kernels give each expert a group of warps on one of them."""

NORMAL_SMS = 20
"""That the normal kernels take, as DeepEP's tests do by default."""


@dataclass(frozen=True)
class LowLatencyCosts:
    """start_s: with no expert. expert_s: a flag of each. node_s: where there are several nodes, and
    doubling_s each time that their number doubles. inside, between: bytes a second of a rank.
    round_s: of each token that an SM handles in turn, element_s of each of its elements, route_s
    of each expert it goes to. softness: how sharply the slower of link and SMs takes over.
    """

    start_s: float
    expert_s: float
    node_s: float
    doubling_s: float
    inside: float
    between: float
    round_s: float
    element_s: float
    route_s: float
    softness: float


LOW_LATENCY_DISPATCH = LowLatencyCosts(
    6.492e-6, 1.185e-8, 5.78e-6, 4.29e-6, 2.974e11, 4.725e10, 1.385e-6, 1.7e-10, 5.83e-8, 1.432
)
LOW_LATENCY_COMBINE = LowLatencyCosts(
    9.433e-6, 4.23e-9, 1.644e-5, 6.5e-7, 2.568e11, 4.658e10, 0.0, 1.5e-10, 3.351e-8, 4.042
)


class LowLatency(Exchange):
    """One copy an expert that is chosen goes straight to its rank, in a node or not."""

    name = "deepep-low-latency"

    def seconds(self, sent: Sent, phase: str, fabric: Fabric) -> np.ndarray:
        costs = LOW_LATENCY_DISPATCH if phase == DISPATCH else LOW_LATENCY_COMBINE
        nodes = fabric.nodes(sent.ranks)
        start_s = costs.start_s + costs.expert_s * sent.experts
        link_s = busiest(sent.routes) * sent.token_bytes / costs.inside
        if nodes > 1:
            start_s += costs.node_s + costs.doubling_s * np.log2(nodes)
            across = busiest(between_ranks(sent.routes, sent.ranks // nodes))
            link_s = np.maximum(link_s, across * sent.token_bytes / costs.between)
        sms_s = _rounds(sent) * _round_seconds(sent, costs)
        seconds: np.ndarray = start_s + _slower(link_s, sms_s, costs.softness)
        return seconds


def _rounds(sent: Sent) -> np.ndarray:
    """Tokens that an SM handles one after the other on the busiest rank, float [n]."""
    groups_a_sm = -(-sent.experts // SMS)
    busy_sms = -(-sent.experts // groups_a_sm)
    rounds: np.ndarray = np.ceil(sent.tokens.max(-1) / busy_sms)
    return rounds


def _round_seconds(sent: Sent, costs: LowLatencyCosts) -> float:
    return costs.round_s + costs.element_s * sent.width + costs.route_s * sent.top_k


def _slower(a: np.ndarray, b: np.ndarray, softness: float) -> np.ndarray:
    """The larger of two, and more where they are near each other."""
    larger, smaller = np.maximum(a, b), np.minimum(a, b)
    ratio = smaller / np.where(larger > 0, larger, 1.0)
    softer: np.ndarray = larger * (1 + ratio**softness) ** (1 / softness)
    return softer


NORMAL_DISPATCH_START_S = 2.637e-5
NORMAL_TOKEN_S = 4.35e-7
"""Of an SM, for each token that it sends."""
NORMAL_ROUTE_S = 2.5e-8
"""Of an SM, for each expert of a token."""
NORMAL_SM_BANDWIDTH = 3.152e10
"""Bytes a second that an SM sends."""
NORMAL_COMBINE_START_S = 3.056e-5
NORMAL_COMBINE_ELEMENT_START_S = 1.51e-9
"""Of each element of a token: the first token's way through the kernel."""
NORMAL_COMBINE_SM_BANDWIDTH = 2.229e10
NORMAL_REDUCE_S = 2.87e-10
"""Of an SM, for each element that it writes; NORMAL_ADD_SHARE of it more for each copy it adds."""
NORMAL_ADD_SHARE = 0.0626
NORMAL_COMBINE_LINK = 4.236e11
NORMAL_COMBINE_SOFTNESS = 2.79
NORMAL_BETWEEN = {DISPATCH: 3.88e10, "combine": 3.22e10}
"""Bytes a second of a rank between nodes, one copy a distinct node."""


class Normal(Exchange):
    """One copy a distinct rank inside of a node, one a distinct node between them."""

    name = "deepep-normal"

    def seconds(self, sent: Sent, phase: str, fabric: Fabric) -> np.ndarray:
        nodes = fabric.nodes(sent.ranks)
        inside_s = _dispatch_s(sent) if phase == DISPATCH else _combine_s(sent)
        if nodes == 1:
            return inside_s
        start_s = NORMAL_DISPATCH_START_S if phase == DISPATCH else NORMAL_COMBINE_START_S
        across = _node_copies_out(sent, nodes) * sent.token_bytes / NORMAL_BETWEEN[phase]
        slower: np.ndarray = np.maximum(inside_s, start_s + across)
        return slower


def _dispatch_s(sent: Sent) -> np.ndarray:
    tokens = sent.tokens.max(-1)
    a_token = NORMAL_TOKEN_S + NORMAL_ROUTE_S * sent.top_k
    sms_s = tokens * a_token + busiest(sent.copies) * sent.token_bytes / NORMAL_SM_BANDWIDTH
    seconds: np.ndarray = NORMAL_DISPATCH_START_S + sms_s / NORMAL_SMS
    return seconds


def _combine_s(sent: Sent) -> np.ndarray:
    copies = busiest(sent.copies)
    send_s = copies * sent.token_bytes / NORMAL_COMBINE_SM_BANDWIDTH / NORMAL_SMS
    added = sent.tokens.max(-1) + NORMAL_ADD_SHARE * copies
    reduce_s = added * sent.width * NORMAL_REDUCE_S / NORMAL_SMS
    link_s = copies * sent.token_bytes / NORMAL_COMBINE_LINK
    softness = NORMAL_COMBINE_SOFTNESS
    slowest = _slower(_slower(send_s, reduce_s, softness), link_s, softness)
    start_s = NORMAL_COMBINE_START_S + NORMAL_COMBINE_ELEMENT_START_S * sent.width
    seconds: np.ndarray = start_s + slowest
    return seconds


def _node_copies_out(sent: Sent, nodes: int) -> np.ndarray:
    """The most tokens that a rank sends to other nodes, [n]."""
    own_node = np.arange(sent.ranks) // (sent.ranks // nodes)
    elsewhere = own_node[:, None] != np.arange(nodes)
    most: np.ndarray = (sent.node_copies * elsewhere).sum(-1).max(-1)
    return most


for _exchange in (LowLatency(), Normal()):
    EXCHANGES.register(_exchange.name)(_exchange)
