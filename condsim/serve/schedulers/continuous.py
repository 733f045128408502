"""Sequences join and leave between any two steps; a prompt is computed in one step.

Source: iteration-level scheduling and selective batching, Yu et al., "Orca: a distributed serving
system for transformer-based generative models", OSDI 2022.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from condsim.serve.schedulers.base import Scheduler, Waiting, register

if TYPE_CHECKING:
    from condsim.serve.text import TextReplica


def plan(replica: TextReplica, _waiting: Waiting) -> None:
    """Put whole prompts into the step: at least one, more as long as the budget has room."""
    replica.make_room()
    replica.admit(replica.budget_left)


CONTINUOUS = register(Scheduler("continuous", plan=plan))
