"""A batch of samples starts when it is full, or when its oldest sample has waited long enough."""

from __future__ import annotations

from condsim.serve.schedulers.base import Scheduler, Waiting, register


def start_batch(waiting: Waiting) -> int:
    """Return how many samples start now."""
    waited_enough = waiting.now_s >= waiting.since_s + waiting.max_wait_s
    if waiting.count >= waiting.max_batch or waited_enough:
        return min(waiting.count, waiting.max_batch)
    return 0


DYNAMIC = register(Scheduler("dynamic", batch=start_batch, wakes=True))
