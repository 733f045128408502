"""A cache of experts: what is copied, when, and what leaves for it."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import simpy

from condsim.engine.expert_cache import Cache, Offloaded

MEGABYTE = 1e6


def offloaded(room: int) -> Offloaded:
    """Experts of a megabyte, room for some of them, and a link of a megabyte a second."""
    sizes = dict.fromkeys(range(3), MEGABYTE)
    return Offloaded([0, 1], sizes, room * MEGABYTE, MEGABYTE, latency_s=0.5, ahead={})


def run(experts: list[int], room: int) -> tuple[Cache, float]:
    """Use experts one after the other. Returns the cache and when the last one was there."""
    env = simpy.Environment()
    cache = Cache(env, offloaded(room))

    def uses() -> Generator[Any, Any, None]:
        for kernel, expert in enumerate(experts):
            cache.ask(expert, kernel)
            yield from cache.wait(expert)
            cache.release(expert, kernel)

    env.run(until=env.process(uses()))
    return cache, float(env.now)


def test_a_copy_takes_the_latency_and_its_bytes() -> None:
    cache, seconds = run([0], room=2)
    assert seconds == 1.5
    assert cache.loaded_bytes == MEGABYTE


def test_what_is_there_is_not_copied_again() -> None:
    cache, seconds = run([0, 1, 0, 1], room=2)
    assert cache.loads == 2
    assert seconds == 3.0


def test_what_was_asked_for_longest_ago_leaves() -> None:
    cache, _ = run([0, 1, 0, 2], room=2)
    assert list(cache.here) == [0, 2]
    assert cache.loads == 3


def test_an_expert_without_room_passes_through() -> None:
    cache, seconds = run([0, 0], room=0)
    assert cache.loads == 2
    assert seconds == 3.0
    assert not cache.here


def test_what_is_fetched_ahead_is_there_when_it_is_asked_for() -> None:
    env = simpy.Environment()
    cache = Cache(env, offloaded(room=2))
    cache.prefetch(1)
    env.run()
    assert list(cache.here) == [1]
    cache.prefetch(1)
    env.run()
    assert cache.loads == 1
