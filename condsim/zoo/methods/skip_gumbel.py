"""Straight-through with Gumbel noise: a gate is drawn, its gradient is that of a sigmoid."""

from __future__ import annotations

from condsim.zoo.methods._relaxed import OWN_NOISY_SHARE, Relaxed
from condsim.zoo.methods.base import METHODS


@METHODS.register("skip-gumbel")
class SkipGumbel(Relaxed):
    """The shipped model's own method, for fewer steps."""

    about = "gates are drawn by logistic noise, gradients are those of a sigmoid"
    source = "Jang et al., 2017; Maddison et al., 2017; Convolutional AIG (Veit, Belongie, 2018)"
    noisy_share = OWN_NOISY_SHARE
