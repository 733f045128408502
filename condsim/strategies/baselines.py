"""Forced decisions: what the speedup is over."""

from __future__ import annotations

from condsim.mechanisms import Guards, Rows
from condsim.strategies.strategy import EVERY_FAMILY, OWING, WEIGHTS, strategy


@strategy("same-params", *EVERY_FAMILY, OWING, WEIGHTS, needs=())
def same_params(guards: Guards) -> Rows:
    """Every row enters, or takes the costliest branch; nothing is selected."""
    return guards.mechanism.same_params(guards)


@strategy("same-flops", *EVERY_FAMILY, OWING, WEIGHTS, needs=())
def same_flops(guards: Guards) -> Rows:
    """A dense network of as many rows (or blocks) as the mean over the trace."""
    return guards.mechanism.same_flops(guards)
