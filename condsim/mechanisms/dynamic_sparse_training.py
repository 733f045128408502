"""Dynamic sparse training: weights come and go, and a mask says which are there in a step."""

from __future__ import annotations

import numpy as np

from condsim.mechanisms.base import Draw, Drawn, Mechanism, Redraw, mechanism


@mechanism
class DynamicSparseTraining(Mechanism):
    """A decision is of a weight, and holds for all rows of a step.

    A site is the weight of a linear layer. Its rows are the outputs of the layer, a branch is an
    input: bit b of row r says whether weight [r, b] is there.
    """

    name = "dynamic_sparse_training"
    title = "dynamic sparse training"
    family = "weights"
    encoding = "bits"
    alone = "csr"
    marked = ("masked", "rows", "csr", "csr_sampled")
    alike = True

    @property
    def how_to_mark(self) -> str:
        return (
            "give the layers masks as torch.nn.utils.prune does (weight_orig, weight_mask), and "
            "what they were over a training as condsim.MaskHistory"
        )

    def arrived(self, ids: np.ndarray) -> np.ndarray:
        return np.ones(len(ids), bool)

    def compact(self, ids: np.ndarray) -> np.ndarray:
        return ids.astype(bool)

    def nowhere(self, draw: Draw) -> np.ndarray:
        return np.zeros((draw.rows, draw.branches), bool)

    def balanced_decisions(self, draw: Draw, rng: np.random.Generator) -> Drawn:
        return self.random_decisions(draw, rng)

    def redraw(self, old: np.ndarray, asked: Redraw, rng: np.random.Generator) -> np.ndarray:
        """Random masks of another density."""
        return rng.random(old.shape) < asked.share_of_rows()

    def random_decisions(self, draw: Draw, rng: np.random.Generator) -> Drawn:
        """One weight in ten is there."""
        return rng.random((draw.rows, draw.branches)) < 0.1, None
