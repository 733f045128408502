"""Evicted weights that are looked up at once cost what each visit costs alone."""

from __future__ import annotations

import numpy as np

from condsim.cost.cpu.missed_weights import ReadTogether, missed_seconds
from condsim.cost.cpu.residency import miss_seconds, miss_spread_seconds
from condsim.hardware import HardwareProfile
from condsim.kernels import WeightRead

STEPS = 5


def read(sizes: list[float], rows: list[float], pieces: float = 1.0) -> WeightRead:
    nothing = np.zeros(0, int)
    of_each = np.full(len(sizes), pieces)
    return WeightRead("w", 0, 0, nothing, np.array(sizes), np.array(rows), of_each)


def groups(profile: HardwareProfile) -> list[ReadTogether]:
    """Small and large weights, of one row and of more, whole and in pieces."""
    assert profile.residency is not None
    large = 3.0 * profile.residency.limit_bytes
    rng = np.random.default_rng(0)
    size, step = np.array([0, 1, 0, 1, 1, 0]), np.array([0, 1, 1, 2, 3, 4])
    together = [read([4e3, 9e4], [1, 8]), read([large, 7e4], [4, 1]), read([8e5, 8e5], [1, 1], 4)]
    first = ReadTogether(together, size, step, rng.uniform(1, 1e8, len(size)))
    every_step = np.arange(STEPS)
    alone = [read([large], [1])]
    distance = np.array([1.0, 1e5, 1e6, 1e9, np.inf])
    return [first, ReadTogether(alone, np.zeros(STEPS, int), every_step, distance)]


def test_all_visits_cost_what_each_costs(profile: HardwareProfile) -> None:
    assert profile.residency is not None
    seconds, spread = missed_seconds(groups(profile), profile.residency, STEPS)
    expected, deviation = np.zeros(STEPS), np.zeros(STEPS)
    for group in groups(profile):
        for size, step, distance in zip(group.size, group.step, group.distance, strict=True):
            for weight in group.reads:
                pieces, rows = weight.pieces[size], weight.rows[size]
                in_bytes = weight.bytes[size]
                piece_s = miss_seconds(in_bytes / pieces, distance, profile, rows)
                expected[step] += pieces * piece_s
                deviation[step] += miss_spread_seconds(in_bytes, distance, profile)
    np.testing.assert_allclose(seconds, expected, rtol=1e-12)
    np.testing.assert_allclose(spread, deviation, rtol=1e-12)
    assert (expected > 0).all()
