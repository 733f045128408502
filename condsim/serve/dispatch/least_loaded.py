"""The replica with the fewest requests, waiting or running; the first of these."""

from __future__ import annotations

from collections.abc import Sequence

from condsim.serve.dispatch.base import dispatch


@dispatch("least-loaded")
def least_loaded(_request: int, loads: Sequence[int]) -> int:
    """Return the replica that has the fewest requests."""
    return loads.index(min(loads))
