"""Mixture of experts: a router sends each row to the k experts of highest score."""

from __future__ import annotations

import numpy as np

from condsim.mechanisms.base import (
    NOT_REACHED,
    Draw,
    Drawn,
    Guards,
    Mechanism,
    Redraw,
    Rows,
    mechanism,
)
from condsim.mechanisms.signs import ROWS_ARE_SENT

BLOCK_ROWS = 65536
"""Rows that are drawn at a time."""


@mechanism
class MixtureOfExperts(Mechanism):
    """Experts are alike; a row's result is the weighted sum of its experts' results."""

    name = "moe"
    title = "mixture of experts"
    signs = (ROWS_ARE_SENT,)
    family = "experts"
    alone = "looped"
    marked = ("looped",)
    alike = True
    balanced = True
    redrawn_by = "skew"

    @property
    def how_to_mark(self) -> str:
        return (
            f"mark the decision: ids, weights = condsim.route('NAME', {self.name!r}, ids, weights, "
            "branches=E), and each expert: with condsim.branch('NAME', e): ..."
        )

    def nowhere(self, draw: Draw) -> np.ndarray:
        shape = [draw.rows]
        if draw.top_k is not None:
            shape.append(draw.top_k)
        return np.full(shape, NOT_REACHED, np.int16)

    def reach_all(self, draw: Draw) -> np.ndarray | None:
        return None

    def balanced_decisions(self, draw: Draw, rng: np.random.Generator) -> Drawn:
        k = draw.top_k or 1
        first = np.arange(draw.rows)[:, None] * k
        ids = (first + np.arange(k)) % draw.branches
        return self._with_even_weights(ids, draw)

    def random_decisions(self, draw: Draw, rng: np.random.Generator) -> Drawn:
        k = draw.top_k or 1
        scores = rng.random((draw.rows, draw.branches))
        order = np.argsort(scores, axis=1)
        return self._with_even_weights(order[:, :k], draw)

    def _with_even_weights(self, ids: np.ndarray, draw: Draw) -> Drawn:
        if draw.top_k is None:
            return ids[:, 0], None
        weights = np.full(ids.shape, 1 / draw.top_k, np.float32)
        return ids, weights

    def probe_decisions(
        self, draw: Draw, share: float, turn: int, rng: np.random.Generator
    ) -> Drawn:
        """Top-k of scores whose skew grows with `share`."""
        k = draw.top_k or 1
        levels = rng.permutation(np.linspace(0.2, 1.0, draw.branches))
        popularity = levels ** (4 * share)
        noise = rng.gumbel(size=(draw.rows, draw.branches))
        scores = noise + np.log(popularity)
        ids = np.argsort(-scores, axis=1)[:, :k]
        drawn = rng.dirichlet(np.ones(k), draw.rows)
        weights = drawn.astype(np.float32)
        return ids if draw.top_k else ids[:, 0], weights

    def probe_kept(self, draw: Draw, share: float, ids: np.ndarray) -> np.ndarray:
        return self.rows_kept(np.zeros(draw.branches), draw.rows, draw.top_k)

    def redraw(self, old: np.ndarray, asked: Redraw, rng: np.random.Generator) -> np.ndarray:
        """Experts whose popularity follows a Zipf law of the exponent `skew`.

        A row's top-k are the k largest of log popularity + Gumbel noise, so they are distinct.
        Source: Kool et al., 2019, "Stochastic beams and where to find them" (Gumbel-top-k).
        """
        skew = asked.skew_of_popularity()
        k = asked.top_k or 1
        ranks = np.arange(1, asked.branches + 1)
        popularity = rng.permutation(-skew * np.log(ranks))
        ids = old.reshape(len(old), -1).copy()
        for start in range(0, len(ids), BLOCK_ROWS):
            block = ids[start : start + BLOCK_ROWS]
            noise = rng.gumbel(size=(len(block), asked.branches))
            noisy = popularity + noise
            if k < asked.branches:
                order = np.argpartition(-noisy, k - 1, axis=1)
                chosen = order[:, :k]
            else:
                chosen = np.argsort(-noisy, axis=1)
            slots = block.shape[1]
            block[:] = np.where(block >= 0, chosen[:, :slots], block)
        return ids if asked.top_k is not None else ids[:, 0]

    def same_params(self, guards: Guards) -> Rows:
        rows = guards.every_row()
        return rows, rows

    def same_flops(self, guards: Guards) -> Rows:
        """All rows run the first top-k experts."""
        used = guards.kept_rows()[:, guards.choices] > 0
        rows = guards.every_row() * used
        return rows, rows

    def rows_kept(self, shares: np.ndarray, rows: int, top_k: int | None = None) -> np.ndarray:
        first = np.arange(len(shares)) < (top_k or 1)
        return np.where(first, rows, 0).astype(np.int64)

    def dense_choice(self, choice: int, costliest: int | None) -> bool:
        return True

    def evened(self, counts: np.ndarray) -> np.ndarray:
        """The rows of each step spread evenly over the experts that were touched."""
        touched = counts > 0
        experts = np.maximum(touched.sum(1), 1)[:, None]
        rows = counts.sum(1)[:, None]
        order = np.cumsum(touched, axis=1) - 1
        even = rows // experts + (order < rows % experts)
        return np.where(touched, even, 0)
