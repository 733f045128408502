"""Evicted weights that are looked up at once cost what each visit costs alone."""

from __future__ import annotations

import numpy as np
import pytest

from condsim.cost.cpu.residency import Weight, miss_seconds, miss_spread_seconds
from condsim.cost.evicted_weights import missed
from condsim.cost.weight_uses import UsedTogether, Visits
from condsim.hardware import HardwareProfile

STEPS = 5


def visits(
    sizes: list[list[float]],
    rows: list[list[float]],
    pieces: list[float],
    size: np.ndarray,
    step: np.ndarray,
) -> Visits:
    """Visits of weights that have so many bytes and rows at their sizes, and so many pieces."""
    in_bytes, of_rows = np.array(sizes), np.array(rows)
    of_pieces = np.broadcast_to(np.array(pieces)[:, None], in_bytes.shape)
    row_bytes = np.sqrt(in_bytes / of_pieces)
    at_sizes = in_bytes, of_rows, of_pieces, row_bytes
    return Visits([], *at_sizes, size, step, np.full(len(step), -1))


def used_together(profile: HardwareProfile) -> list[UsedTogether]:
    """Small and large weights, of one row and of more, whole and in pieces."""
    assert profile.residency is not None
    large = 3.0 * profile.residency.limit_bytes
    rng = np.random.default_rng(0)
    size, step = np.array([0, 1, 0, 1, 1, 0]), np.array([0, 1, 1, 2, 3, 4])
    whole = visits([[4e3, 9e4], [large, 7e4]], [[1, 8], [4, 1]], [1, 1], size, step)
    in_pieces = visits([[8e5, 8e5]], [[1, 1]], [4], 1 - size, step)
    every_step = np.arange(STEPS)
    alone = visits([[large]], [[1]], [1], np.zeros(STEPS, int), every_step)
    distance = np.array([1.0, 1e5, 1e6, 1e9, np.inf])
    of_whole = rng.uniform(1, 1e8, len(size))
    return [
        UsedTogether(whole, of_whole, 0),
        UsedTogether(in_pieces, of_whole, 0),
        UsedTogether(alone, distance, STEPS),
    ]


@pytest.mark.parametrize("most_visits", [1, 2**16])
def test_all_visits_cost_what_each_costs(
    most_visits: int, profile: HardwareProfile, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert profile.residency is not None
    monkeypatch.setattr("condsim.cost.evicted_weights.MOST_VISITS", most_visits)
    seconds, spread = np.zeros(2 * STEPS), np.zeros(2 * STEPS)
    for some in missed(used_together(profile), profile.residency):
        steps, of_steps = some.by_step
        seconds[steps] += of_steps
        np.add.at(spread, some.step, some.spread)
    expected, deviation = np.zeros(2 * STEPS), np.zeros(2 * STEPS)
    for used in used_together(profile):
        these = used.visits
        for weight in range(len(these.bytes)):
            for size, step, distance in zip(these.size, these.step, used.distance, strict=True):
                pieces, in_bytes = these.pieces[weight, size], these.bytes[weight, size]
                rows = these.rows[weight, size]
                piece = Weight(in_bytes / pieces, these.row_bytes[weight, size], rows)
                piece_s = miss_seconds(piece, distance, profile)
                expected[used.first_step + step] += pieces * piece_s
                deviation[used.first_step + step] += miss_spread_seconds(
                    in_bytes, distance, profile
                )
    np.testing.assert_allclose(seconds, expected, rtol=1e-12)
    np.testing.assert_allclose(spread, deviation, rtol=1e-12)
    assert (expected[:STEPS] > 0).all()
    assert expected[-1] > 0
