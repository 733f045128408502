"""Experts wait in the host's memory: each is copied over the link when rows ask for it, and the
device keeps those that were used last."""

from __future__ import annotations

from condsim.hardware import abilities
from condsim.mechanisms import Guards, Rows
from condsim.strategies.alone import compacted
from condsim.strategies.strategy import EXPERTS, strategy


@strategy(
    "offloaded",
    EXPERTS,
    needs=(abilities.CUDA,),
    shapes="any",
    steered="host",
    runs={EXPERTS: "looped"},
    waits_for_weights=True,
)
def offloaded(guards: Guards) -> Rows:
    """As many rows as took the expert."""
    return compacted(guards)
