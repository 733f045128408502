"""Rows rounded up to one of a few sizes."""

from __future__ import annotations

import numpy as np

from condsim.strategies.bucketed import SMALLEST, bucket


def test_a_bucket_is_the_next_power_of_two() -> None:
    rows = np.array([0, 1, 8, 9, 16, 17, 1000])
    assert bucket(rows).tolist() == [8, 8, 8, 16, 16, 32, 1024]


def test_few_sizes_hold_all() -> None:
    sizes = bucket(np.arange(1, 257))
    assert set(sizes.tolist()) == {8, 16, 32, 64, 128, 256}
    assert (sizes >= np.arange(1, 257)).all()
    assert sizes.min() == SMALLEST
