"""Replicas in turn."""

from __future__ import annotations

from condsim.serve.dispatch.round_robin import round_robin


def test_replicas_take_turns_whatever_their_load() -> None:
    chosen = [round_robin(request, [9, 0, 0]) for request in range(5)]
    assert chosen == [0, 1, 2, 0, 1]
