"""Which expert each token takes in the measured layers: the rules that the collector of the
tables states, drawn anew.

Source of the rules: collector/helper.py of github.com/ai-dynamo/aiconfigurator (Apache-2.0); the
tables do not keep its draws.
"""

from __future__ import annotations

import heapq

import numpy as np

BALANCED = "balanced"


def counts(
    distribution: str, tokens: int, experts: int, top_k: int, ranks: int, rng: np.random.Generator
) -> np.ndarray:
    """Rows of each expert, int [experts]; the measured rank holds the first experts / ranks of
    them.

    distribution: "balanced" or "power_law_ALPHA".
    """
    if distribution == BALANCED:
        return balanced(tokens, experts, top_k)
    return power_law(float(distribution.rsplit("_", 1)[1]), tokens, experts, top_k, ranks, rng)


def balanced(tokens: int, experts: int, top_k: int) -> np.ndarray:
    """Token t takes the experts t + i * ceil(experts / top_k), modulo experts: as many experts
    are touched as can be."""
    stride = -(-experts // top_k)
    token = np.arange(tokens)
    first = token if tokens >= stride else token * stride // tokens
    ids = (first[:, None] + np.arange(top_k) * stride) % experts
    return np.bincount(ids.reshape(-1), minlength=experts)


def power_law(
    alpha: float, tokens: int, experts: int, top_k: int, ranks: int, rng: np.random.Generator
) -> np.ndarray:
    """Experts' shares drawn from x ** -alpha, made into whole rows of which no expert has more
    than there are tokens; the busiest rank comes first."""
    total = tokens * top_k
    low, high = (1.0, 0.8 * tokens) if total > experts else (0.01, 2.0)
    power = 1.0 - alpha
    share = ((high**power - low**power) * rng.random(experts) + low**power) ** (1.0 / power)
    rows = np.minimum(np.rint(share / share.sum() * total).astype(np.int64), tokens)
    by_rank = rows.reshape(ranks, -1)
    _deal(by_rank, total - int(rows.sum()), tokens)
    busiest = int(by_rank.sum(1).argmax())
    by_rank[[0, busiest]] = by_rank[[busiest, 0]]
    return by_rank.reshape(-1)


def _deal(by_rank: np.ndarray, missing: int, tokens: int) -> None:
    """Give (or take) the missing rows one by one, rank after rank: to the smallest expert of the
    rank that has room, from its largest."""
    sign = 1 if missing > 0 else -1
    heaps = [[(sign * int(n), e) for e, n in enumerate(rank)] for rank in by_rank]
    for heap in heaps:
        heapq.heapify(heap)
    rank = 0
    while missing:
        heap = heaps[rank % len(heaps)]
        rows, expert = heap[0]
        if 0 <= sign * rows + sign <= tokens:
            heapq.heapreplace(heap, (rows + 1, expert))
            by_rank[rank % len(heaps), expert] += sign
            missing -= sign
        rank += 1
