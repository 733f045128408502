"""What mechanisms have in common that decide for each token of a unit whether it stays.

The units of a step keep numbers of tokens of their own, so that a step's work does not follow from
sums over its units: attention grows with the square of each number.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from condsim.mechanisms.base import Draw, Drawn, Guards, Mechanism, Rows

STAYS = 1
"""The branch of a token that stays."""
BUCKETS = 4
"""Buckets that a step's units are sorted into by their lengths, at most."""


class Tokens(Mechanism):
    """Rows are the tokens of a unit. Behind a guard, rows are the tokens of each unit that run.

    fewest: tokens of a unit that stay at least. in_order: tokens that stay keep their order under
    every strategy.
    """

    family = "tokens"
    alone = "padded"
    marked: ClassVar[tuple[str, ...]] = ("padded", "gathered", "sorted", "masked")
    fixed = "gathered"
    fewest: ClassVar[int] = 1
    in_order: ClassVar[bool] = False
    branch_names: ClassVar[Mapping[int, str]] = {0: "0: dropped", 1: "1: stays"}

    @property
    def how_to_mark(self) -> str:
        return (
            f"mark the decision: condsim.route('NAME', {self.name!r}, stays), stays bool [units, "
            "tokens], and what comes after it: for tokens in condsim.tokens('NAME'): ..."
        )

    def rows_at(self, units: Any, rows_of_unit: Any) -> Any:
        """Tokens of one unit, however many units there are."""
        return units * 0 + rows_of_unit

    def most_guards(self, branches: int) -> int:
        """A guard for each bucket of units."""
        return max(branches, BUCKETS)

    def reach_all(self, draw: Draw) -> np.ndarray | None:
        return None

    def balanced_decisions(self, draw: Draw, rng: np.random.Generator) -> Drawn:
        """Every other token stays, the first one among them."""
        ids = 1 - np.arange(draw.rows) % 2
        return ids, None

    def random_decisions(self, draw: Draw, rng: np.random.Generator) -> Drawn:
        """Each token stays as likely as not."""
        return (rng.random(draw.rows) < 0.5).astype(np.int64), None

    def probe_decisions(
        self, draw: Draw, share: float, turn: int, rng: np.random.Generator
    ) -> Drawn:
        """About `share` of the tokens stay, the first ones of each unit among them."""
        stays = rng.random((draw.units, draw.rows // draw.units)) < share
        stays[:, : self.fewest] = True
        return stays.reshape(-1).astype(np.int64), None

    def probe_kept(self, draw: Draw, share: float, ids: np.ndarray) -> np.ndarray:
        tokens = draw.rows // draw.units
        return np.array([0, max(self.fewest, round(share * tokens))])

    def same_params(self, guards: Guards) -> Rows:
        """Every token stays."""
        return guards.every_row(), guards.every_row()

    def same_flops(self, guards: Guards) -> Rows:
        """The first tokens of each unit, as many as the mean."""
        arriving = guards.every_row()
        kept = guards.kept_rows()[:, [STAYS]]
        return arriving, np.minimum(kept, arriving)

    def rows_kept(self, shares: np.ndarray, rows: int, top_k: int | None = None) -> np.ndarray:
        """Of the tokens of a unit, those that stay."""
        kept = np.rint(shares * rows).astype(np.int64)
        kept[STAYS] = max(self.fewest, kept[STAYS])
        tokens: np.ndarray = kept
        return tokens
