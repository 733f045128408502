"""What a policy of exits is, and the registry of all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from condsim.registry import Registry


@dataclass(frozen=True)
class Rest:
    """What is left of a batch after an exit.

    alone_s: seconds of the rest of the network on these rows alone. together_s: their share of a
    full batch's seconds there. overhead_s: of regrouping them.
    """

    alone_s: float
    together_s: float
    overhead_s: float


@dataclass(frozen=True)
class ExitPolicy:
    """A policy.

    answers_early: whether an answer is given when its sample leaves, or when the batch ends.
    holds: whether the rest waits for samples of other batches; None: it never does.
    """

    name: str
    answers_early: bool
    holds: Callable[[Rest], bool] | None = None


EXIT_POLICIES: Registry[ExitPolicy] = Registry("policy of exits")


def register(policy: ExitPolicy) -> ExitPolicy:
    """Enter a policy under its name."""
    return EXIT_POLICIES.register(policy.name)(policy)
