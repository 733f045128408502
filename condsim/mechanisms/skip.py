"""Skipped layers: a gate decides for each row whether it enters a layer or jumps over it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from condsim.mechanisms.base import Mechanism, mechanism
from condsim.mechanisms.signs import LAYERS_ARE_MASKED

ENTERS = 1
"""The branch of rows that enter the layer."""


@mechanism
class Skip(Mechanism):
    """Branch 1 is the layer, branch 0 the way around it."""

    name = "skip"
    title = "skip"
    signs = (LAYERS_ARE_MASKED,)
    branch_names: ClassVar[Mapping[int, str]] = {0: "0: jumps over", 1: "1: enters"}

    def dense_flops(self, per_branch: np.ndarray, costliest: int | None) -> float:
        """Of the layer: what stands on the way around it does not run."""
        return float(per_branch[ENTERS])
