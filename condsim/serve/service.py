"""How a model is served: who is batched with whom, how much fits, how many replicas there are."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from condsim import checks
from condsim.engine.caching import CACHE_POLICIES
from condsim.serve.dispatch import DISPATCHES
from condsim.serve.exits import EXIT_POLICIES
from condsim.serve.schedulers import SCHEDULERS

MOST_REPLICAS = 4096
MOST = 1 << 40
"""Of any other number of a service."""


@dataclass(frozen=True)
class Service:
    """How requests are served.

    scheduler: who runs in the next step; None for "dynamic" where a request is one forward, for
        "chunked" where it is a text that is generated.
    max_batch: sequences (or samples) that run at once, a replica.
    max_wait_s: that the oldest request waits for others before a batch starts.
    token_budget: tokens that a step computes at most, where prompts are cut into chunks.
    kv_tokens: tokens whose keys and values fit into the memory of a replica; None for no limit.
    kv_block: tokens of a block of that memory, which is handed out whole.
    exits: what happens to the rest of a batch that some samples have left early.
    regroup_s: seconds that taking a sample out of one batch and into another costs a batch.
    overhead_s: seconds that the server itself takes a step: scheduling, and the copy of its inputs.
    cache: which experts a replica's device keeps, where a strategy has them in the host's memory.
    dispatch: which replica gets a request. replicas: copies of the model, each on its device.
    """

    scheduler: str | None = None
    max_batch: int = 32
    max_wait_s: float = 0.0
    token_budget: int = 2048
    kv_tokens: int | None = None
    kv_block: int = 16
    exits: str = "leave"
    regroup_s: float | None = None
    overhead_s: float = 0.0
    cache: str = "lru"
    dispatch: str = "shared"
    replicas: int = 1

    def __post_init__(self) -> None:
        """Raises CondsimError for an unknown name and for a number that no server has."""
        if self.scheduler is not None:
            SCHEDULERS[self.scheduler]
        EXIT_POLICIES[self.exits]
        CACHE_POLICIES[self.cache]
        DISPATCHES[self.dispatch]
        for name in ("max_batch", "token_budget", "kv_block"):
            checks.whole(name, getattr(self, name), most=MOST)
        checks.whole("replicas", self.replicas, most=MOST_REPLICAS)
        if self.kv_tokens is not None:
            checks.whole("kv_tokens", self.kv_tokens, most=MOST)
        checks.seconds("max_wait_s", self.max_wait_s)
        checks.seconds("overhead_s", self.overhead_s)
        if self.regroup_s is not None:
            checks.seconds("regroup_s", self.regroup_s)

    def arguments(self) -> dict[str, Any]:
        """Return what differs from the defaults."""
        return {
            field.name: getattr(self, field.name)
            for field in fields(Service)
            if getattr(self, field.name) != field.default
        }
