"""What a policy of dispatch is, and the registry of all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from condsim.registry import Registry

Choose = Callable[[int, Sequence[int]], int]
"""(number of the request, requests that each replica has) → the replica."""


@dataclass(frozen=True)
class Dispatch:
    """A policy. choose: None where all replicas take from one queue."""

    name: str
    choose: Choose | None


DISPATCHES: Registry[Dispatch] = Registry("dispatch")


def dispatch(name: str) -> Callable[[Choose], Choose]:
    """Decorator: register a function as a policy."""

    def register(choose: Choose) -> Choose:
        DISPATCHES.register(name)(Dispatch(name, choose))
        return choose

    return register
