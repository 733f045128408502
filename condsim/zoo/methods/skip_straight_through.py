"""Straight-through without noise: a gate does what it scores, its gradient is that of a sigmoid."""

from __future__ import annotations

from condsim.zoo.methods._relaxed import Relaxed
from condsim.zoo.methods.base import METHODS


@METHODS.register("skip-straight-through")
class SkipStraightThrough(Relaxed):
    """Nothing is drawn."""

    about = "gates are scores above 0, gradients are those of a sigmoid"
    source = "Bengio et al., 2013"
    noisy_share = 0.0
