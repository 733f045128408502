"""Skipped layers: a gate decides for each row whether it enters a layer or jumps over it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from condsim.mechanisms.base import Mechanism, mechanism
from condsim.mechanisms.signs import LAYERS_ARE_MASKED


@mechanism
class Skip(Mechanism):
    """Branch 1 is the layer, branch 0 the way around it."""

    name = "skip"
    title = "skip"
    signs = (LAYERS_ARE_MASKED,)
    branch_names: ClassVar[Mapping[int, str]] = {0: "0: jumps over", 1: "1: enters"}
