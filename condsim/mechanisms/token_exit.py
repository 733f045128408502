"""Early exit a token: each new token of a decoder leaves at a layer of its own.

It owes later tokens the keys and values of the layers that it skips.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from condsim.mechanisms.base import Draw, Drawn, Mechanism, mechanism

LEAVES, GOES_ON = 0, 1
"""The branches: what a token owes that leaves, and the network after the exit."""
PROBED_KINDS = 6
"""Of decisions in probing runs: in two of them all go on, in one all leave, in the others some."""
MOST_PROBED = 4
"""Tokens that a sequence runs at most behind an exit in probing runs."""


@mechanism
class TokenExit(Mechanism):
    """Branch 0 pays what the tokens owe that leave, branch 1 is the network after the exit."""

    name = "token_exit"
    title = "early exit a token"
    family = "owing"
    alone = "copied"
    marked = ("projected", "copied", "recomputed", "wait", "masked")
    leaves = True
    while_decoding = True
    branch_names: ClassVar[Mapping[int, str]] = {LEAVES: "0: leaves", GOES_ON: "1: goes on"}

    @property
    def how_to_mark(self) -> str:
        return (
            f"mark the decision: condsim.route('NAME', {self.name!r}, goes_on), what a token owes "
            "that leaves: with condsim.branch('NAME', 0): ..., and what comes after: with "
            "condsim.branch('NAME', 1): ..."
        )

    def probe_decisions(
        self, draw: Draw, share: float, turn: int, rng: np.random.Generator
    ) -> Drawn:
        """All go on, all leave, or some do, whatever the exits before decide: so that each of the
        three is met behind every exit."""
        kind = rng.integers(PROBED_KINDS)
        go_on = {0: 1.0, 1: 1.0, 2: 0.0}.get(int(kind), rng.uniform(0.3, 0.9))
        return (rng.random(draw.rows) < go_on).astype(np.int64), None

    def probe_owed(self, turn: int) -> int | None:
        """One to MOST_PROBED tokens of each sequence."""
        return 1 + turn % MOST_PROBED
