"""Replicas in turn."""

from __future__ import annotations

from collections.abc import Sequence

from condsim.serve.dispatch.base import dispatch


@dispatch("round-robin")
def round_robin(request: int, loads: Sequence[int]) -> int:
    """Return the replica whose turn it is."""
    return request % len(loads)
