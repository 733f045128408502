"""What evicted weights cost."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from condsim.calibrate.residency import (
    BEYOND_MB,
    WEIGHTS,
    EvictedWeights,
    _deviation,
    _misfit,
    _shifted,
    extra_per_byte,
    visit_in_turn,
)
from condsim.timing.yardstick import Yardstick

DISTANCE = np.array([1e6, 4e6, 8e6, 2e7])
EXTRA = np.array([0.0, 1e-11, 5e-11])
ROUND_S = np.array([0.0, 4e-3, 1.2e-2])


def test_a_curve_stays_where_it_is_if_others_evict_nothing() -> None:
    assert _shifted(0.0, DISTANCE, np.zeros(3), EXTRA).tolist() == [0.0, 1e-11, 5e-11, 5e-11]


def test_what_others_evict_moves_a_curve_to_more_bytes() -> None:
    """At 1 GB/s the three footprints are seen at 1, 8 and 20 MB."""
    expected = [0.0, 1e-11 * 3 / 7, 1e-11, 5e-11]
    assert _shifted(1e9, DISTANCE, ROUND_S, EXTRA).tolist() == pytest.approx(expected)


def test_a_rate_fits_pauses_that_cost_what_it_says() -> None:
    paused = [(7e-3, 1e-11)]  # 1 MB, and 7 MB at 1 GB/s
    misfits = []
    for rate in (0.0, 1e9):
        curve = _shifted(rate, DISTANCE, ROUND_S, EXTRA)
        misfits.append(_misfit(rate, DISTANCE, curve, 1e6, paused))
    assert misfits[1] < misfits[0]


def test_evicted_weights_never_cost_less_at_a_larger_footprint() -> None:
    assert extra_per_byte([1.0, 0.5, 3.0, 2.0], 2.0).tolist() == [0.0, 1.0, 1.0]


def test_calls_take_turns_and_all_come_round() -> None:
    called: list[int] = []
    calls = [lambda: called.append(0), lambda: called.append(1), lambda: called.append(2)]
    assert visit_in_turn(calls, 2**20) >= 0
    assert called[:6] == [0, 1, 2, 0, 1, 2]


def test_the_spread_is_that_of_undisturbed_visits() -> None:
    yardstick = Yardstick(readings=5)
    fast, slow = yardstick.limit_s, 2 * yardstick.limit_s
    visits = [(1.0, fast), (1.0, fast), (9.0, slow)]
    assert _deviation(visits, yardstick) == 0.0
    assert _deviation([(1.0, slow), (2.35, slow)], yardstick) == pytest.approx(0.5)


def test_rounds_give_a_curve_for_each_weight() -> None:
    with torch.inference_mode():
        evicted = EvictedWeights((0.4, 1.0), Yardstick())
        evicted.round()
        table = evicted.curves()
    assert len(table.bytes) == len(table.one_row) == len(table.more_rows) == len(WEIGHTS)
    assert len(table.distance) == len(table.spread) == 2 + len(BEYOND_MB)
    assert table.others >= 0
