"""Mixture of depths: of a sequence's tokens some enter a block, the others pass by it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from condsim.mechanisms.base import mechanism
from condsim.mechanisms.signs import THE_BEST_ENTER
from condsim.mechanisms.tokens import Tokens


@mechanism
class MixtureOfDepths(Tokens):
    """Branch 1 is the block, branch 0 the way around it. Tokens that enter see each other only."""

    name = "mixture_of_depths"
    title = "mixture of depths"
    signs = (THE_BEST_ENTER,)
    in_order = True
    branch_names: ClassVar[Mapping[int, str]] = {0: "0: passes by", 1: "1: enters"}
