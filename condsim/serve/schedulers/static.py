"""A batch starts when it is full, and nobody joins it: the next one starts when all are done.

The last batch is what is left when no request arrives any more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from condsim.serve.schedulers.base import Scheduler, Waiting, register

if TYPE_CHECKING:
    from condsim.serve.text import TextReplica


def start_batch(waiting: Waiting) -> int:
    """Return how many requests start now."""
    if waiting.count >= waiting.max_batch or waiting.closing:
        return min(waiting.count, waiting.max_batch)
    return 0


def plan(replica: TextReplica, waiting: Waiting) -> None:
    """Put all prompts of a new batch into one step, with room for their whole answers."""
    if not replica.admitted and start_batch(waiting):
        replica.admit(None, with_answer=True)


STATIC = register(Scheduler("static", batch=start_batch, plan=plan, answers_together=True))
