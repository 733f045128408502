"""Sparse activation: a predictor says which blocks of a feed-forward's neurons a row needs."""

from __future__ import annotations

import numpy as np

from condsim.mechanisms.base import Draw, Drawn, Guards, Mechanism, Redraw, Rows, mechanism
from condsim.mechanisms.signs import NEURONS_ARE_LEFT_OUT


@mechanism
class SparseActivation(Mechanism):
    """A decision is one bit a row and block; the union over a batch is what has to be read."""

    name = "sparse_activation"
    title = "sparse activation"
    signs = (NEURONS_ARE_LEFT_OUT,)
    family = "blocks"
    encoding = "bits"
    alone = "gathered"
    marked = ("gathered", "masked")
    alike = True

    @property
    def how_to_mark(self) -> str:
        return (
            f"mark the decision: condsim.route('NAME', {self.name!r}, wanted, branches=BLOCKS), "
            "and what reads the blocks: with condsim.branch('NAME') as blocks: ..."
        )

    def nowhere(self, draw: Draw) -> np.ndarray:
        return np.zeros((draw.rows, draw.branches), bool)

    def compact(self, ids: np.ndarray) -> np.ndarray:
        return ids.astype(bool)

    def arrived(self, ids: np.ndarray) -> np.ndarray:
        return np.ones(len(ids), bool)

    def reach_all(self, draw: Draw) -> np.ndarray | None:
        return None

    def balanced_decisions(self, draw: Draw, rng: np.random.Generator) -> Drawn:
        return self.random_decisions(draw, rng)

    def random_decisions(self, draw: Draw, rng: np.random.Generator) -> Drawn:
        return rng.random((draw.rows, draw.branches)) < 0.5, None

    def probe_decisions(
        self, draw: Draw, share: float, turn: int, rng: np.random.Generator
    ) -> Drawn:
        """About `share` of the blocks are wanted by some row; a draw a row and block would make
        the union nearly always all blocks."""
        wanted = rng.random(draw.branches) < share
        asks = rng.random((draw.rows, draw.branches)) < 0.7
        return asks & wanted, None

    def probe_kept(self, draw: Draw, share: float, ids: np.ndarray) -> np.ndarray:
        fewer_than_all = draw.branches - 1  # a slice of all is no other tensor than the weight
        blocks = max(1, min(round(share * draw.branches), fewer_than_all))
        return (np.arange(draw.branches) < blocks).astype(np.int64)

    def redraw(self, old: np.ndarray, asked: Redraw, rng: np.random.Generator) -> np.ndarray:
        return rng.random(old.shape) < asked.share_of_rows()

    def same_params(self, guards: Guards) -> Rows:
        """The dense layer stands outside of the guard."""
        return guards.no_row(), guards.no_row()

    def same_flops(self, guards: Guards) -> Rows:
        """The first blocks, as many as the mean."""
        blocks = guards.kept_rows().sum(1)[:, None]
        return guards.no_row(), blocks + guards.no_row()

    def rows_kept(self, shares: np.ndarray, rows: int, top_k: int | None = None) -> np.ndarray:
        blocks = max(1, round(float(shares.sum())))
        return (np.arange(len(shares)) < blocks).astype(np.int64)
