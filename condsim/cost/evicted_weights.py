"""What weights cost more that were evicted since their last use, visit by visit."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from condsim.cost.cpu.residency import miss_seconds, miss_spread_seconds
from condsim.cost.weight_uses import UsedTogether, Visits
from condsim.hardware import HardwareProfile

FEW_VISITS = 4096
"""Weights that are visited together so often at most are looked up at once; others one by one, to
save memory."""


class Missed(NamedTuple):
    """What the visits of weights that are used together cost.

    seconds: of each weight, float [visits] each. spread: one standard deviation of all of them
    together, float [visits].
    """

    seconds: list[np.ndarray]
    spread: np.ndarray


def missed(used: UsedTogether, profile: HardwareProfile) -> Missed:
    """Return what it costs that weights were evicted since they were used last."""
    if len(used.distance) > FEW_VISITS:
        seconds = [_miss_seconds(visits, used.distance, profile) for visits in used.weights]
    else:
        weights = len(used.weights)
        at_once = _miss_seconds(_joined(used.weights), np.tile(used.distance, weights), profile)
        seconds = np.split(at_once, weights)
    all_bytes = np.sum([visits.bytes for visits in used.weights], axis=0)
    return Missed(seconds, miss_spread_seconds(all_bytes, used.distance, profile))


def _miss_seconds(visits: Visits, distance: np.ndarray, profile: HardwareProfile) -> np.ndarray:
    piece_bytes = visits.bytes / visits.pieces
    piece_s = miss_seconds(piece_bytes, distance, profile, visits.rows)
    seconds: np.ndarray = visits.pieces * piece_s
    return seconds


def _joined(weights: list[Visits]) -> Visits:
    """Visits of several weights, one after the other."""
    first = weights[0]
    if len(weights) == 1:
        return first
    columns = []
    for name in ("bytes", "rows", "pieces", "step", "choice"):
        columns.append(np.concatenate([getattr(visits, name) for visits in weights]))
    return Visits(first.read, *columns)
