"""Early exits: a row whose answer is sure leaves the network, and the rest goes on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from condsim.mechanisms.base import Mechanism, mechanism
from condsim.mechanisms.signs import ROWS_ARE_DONE


@mechanism
class EarlyExit(Mechanism):
    """Branch 0 leaves, branch 1 is the network after the exit."""

    name = "early_exit"
    title = "early exit"
    signs = (ROWS_ARE_DONE,)
    leaves = True
    branch_names: ClassVar[Mapping[int, str]] = {0: "0: leaves", 1: "1: goes on"}


def goes_on(scores: np.ndarray, threshold: float) -> np.ndarray:
    """Which rows are not sure enough to leave, bool [rows]. scores: float32 [rows]."""
    below: np.ndarray = scores < np.float32(threshold)
    return below
