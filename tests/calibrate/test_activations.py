"""What activations cost that left the private cache."""

from __future__ import annotations

import torch

from condsim.calibrate.activations import DistantActivations
from condsim.timing.yardstick import Yardstick


def test_rounds_give_a_rising_curve_for_reading_and_for_writing() -> None:
    with torch.inference_mode():
        distant = DistantActivations((0.4, 1.0, 2.0), Yardstick())
        for _ in range(2):
            distant.round()
    table = distant.table()
    assert table.distance == [4e5, 1e6, 2e6]
    for curve in (table.read, table.written):
        assert len(curve) == 3
        assert curve == sorted(curve)
