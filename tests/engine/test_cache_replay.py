"""The worked example of "MoE Cache Evaluation" (arXiv 2608.07911, shijiuzhang/moe-cache-eval,
Apache-2.0): 3 layers of 4 experts, 5 steps, the same experts in each layer."""

from __future__ import annotations

import numpy as np
import pytest

from condsim.engine.cache_replay import CacheCounts, Event, replay
from condsim.engine.caching import CACHE_POLICIES
from condsim.errors import CondsimError

STEPS = ([0, 1], [0, 2], [0, 1], [0, 3], [0, 1])
TOY: list[Event] = [(layer, experts) for experts in STEPS for layer in range(3)]
EACH = 3
"""Layers that share the cache out among them; 0: one pool."""


def test_the_worked_example() -> None:
    assert replay(TOY, "lru", 6, EACH) == CacheCounts(30, 12, 18, 12)


@pytest.mark.parametrize(
    ("policy", "capacity", "layers", "hits"),
    [
        ("lru", 3, EACH, (2, 11)),
        ("lru", 3, 0, (0, 0)),
        ("lru", 9, EACH, (18, 18)),
        ("lfu", 3, EACH, (9, 12)),
        ("lfu", 3, 0, (7, 7)),
        ("lfu", 6, EACH, (15, 15)),
        ("lfru", 3, EACH, (9, 12)),
        ("lfru", 3, 0, (1, 3)),
        ("lfru", 6, 0, (12, 13)),
        ("pinned", 3, EACH, (15, 15)),
        ("pinned", 6, 0, (24, 24)),
        ("pinned", 9, EACH, (27, 27)),
        ("belady", 3, EACH, (12, 12)),
        ("belady", 3, 0, (12, 12)),
        ("belady", 6, EACH, (18, 18)),
        ("belady", 9, 0, (18, 18)),
    ],
)
def test_the_other_policies(policy: str, capacity: int, layers: int, hits: tuple[int, int]) -> None:
    """Where blocks are worth the same, chance decides: hits lie in the range over 20 draws."""
    for seed in range(5):
        counts = replay(TOY, policy, capacity, layers, seed)
        assert hits[0] <= counts.hits <= hits[1]
        assert counts.hits + counts.misses == counts.accesses == 30
        assert counts.loaded == (capacity if policy == "pinned" else 0)


def some_events(seed: int) -> list[Event]:
    rng = np.random.default_rng(seed)
    return [
        (layer, rng.choice(12, 3, replace=False).tolist()) for _ in range(60) for layer in (0, 1)
    ]


@pytest.mark.parametrize("policy", sorted(set(CACHE_POLICIES) - {"pinned"}))
def test_no_policy_passes_the_bound(policy: str) -> None:
    for seed in range(3):
        events = some_events(seed)
        bound = replay(events, "belady", 8, 2, seed)
        assert replay(events, policy, 8, 2, seed).hits <= bound.hits


@pytest.mark.parametrize("policy", sorted(CACHE_POLICIES))
def test_a_cache_of_everything_misses_once_and_one_of_nothing_always(policy: str) -> None:
    events = some_events(0)
    blocks = {(layer, expert) for layer, experts in events for expert in experts}
    everything = replay(events, policy, len(blocks), 0)
    assert everything.misses == (0 if policy == "pinned" else len(blocks))
    assert replay(events, policy, 0, 0).hits == 0


def test_a_cache_of_less_than_nothing() -> None:
    with pytest.raises(CondsimError, match="0 or more experts, got -1"):
        replay(TOY, "lru", -1)
