"""What a scheduler is, and the registry of all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from condsim.registry import Registry

if TYPE_CHECKING:
    from condsim.serve.text import TextReplica

Kind = Literal["samples", "text"]
SAMPLES: Kind = "samples"
"""Requests that one forward answers."""
TEXT: Kind = "text"
"""Requests whose answer is generated token by token."""


@dataclass(frozen=True)
class Waiting:
    """What waits for a replica that is free.

    count: requests. since_s: when the oldest arrived. now_s: the time. closing: no request will
    arrive any more. max_batch, max_wait_s: as in `condsim.serve.service.Service`.
    """

    count: int
    since_s: float
    now_s: float
    closing: bool
    max_batch: int
    max_wait_s: float


@dataclass(frozen=True)
class Scheduler:
    """A policy.

    batch: of samples that wait, how many start now; None where it is not for samples.
    plan: puts prompts into the next step of a replica that generates text; None where it is not for
        text.
    answers_together: the answers of a batch are given when the last of them is complete, and until
        then all its sequences are computed.
    wakes: whether a batch starts when its oldest request has waited for max_wait_s.
    """

    name: str
    batch: Callable[[Waiting], int] | None = None
    plan: Callable[[TextReplica, Waiting], None] | None = None
    answers_together: bool = False
    wakes: bool = False

    def serves(self, kind: Kind) -> bool:
        """Whether it is for a kind of requests."""
        return (self.batch if kind == SAMPLES else self.plan) is not None


SCHEDULERS: Registry[Scheduler] = Registry("scheduler")


def register(scheduler: Scheduler) -> Scheduler:
    """Enter a scheduler under its name."""
    return SCHEDULERS.register(scheduler.name)(scheduler)


def schedulers_for(kind: Kind) -> list[str]:
    """Return the names of the schedulers for a kind of requests."""
    return [name for name, scheduler in SCHEDULERS.items() if scheduler.serves(kind)]
