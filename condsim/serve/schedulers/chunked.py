"""Sequences join and leave between any two steps; a step computes a budget of tokens at most, so
prompts are cut into chunks that fill what answers leave of it.

Source: Agrawal et al., "Taming throughput-latency tradeoff in LLM inference with Sarathi-Serve",
OSDI 2024; it is vLLM's default.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from condsim.serve.schedulers.base import Scheduler, Waiting, register

if TYPE_CHECKING:
    from condsim.serve.text import TextReplica


def plan(replica: TextReplica, _waiting: Waiting) -> None:
    """Put chunks into the step: of prompts that have begun, then of those that wait."""
    replica.make_room()
    replica.continue_prompts()
    replica.admit(replica.budget_left, in_chunks=True)


CHUNKED = register(Scheduler("chunked", plan=plan))
