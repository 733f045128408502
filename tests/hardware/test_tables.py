"""Tables of a calibration: their shape, and what older ones said."""

from __future__ import annotations

from typing import Any

import pytest

from condsim.cost.cpu.residency import Weight, miss_per_byte
from condsim.hardware import Curve, Grid, Residency, Scatter

GRID = {"m": [1.0, 2], "n": [1.0, 2], "k": [1.0, 2], "seconds": [1e-6] * 8, "reached": 1e3}
SCATTER = {
    "dims": ["m", "n"],
    "points": [[1.0, 2.0]],
    "seconds": [1e-6],
    "scales": [1.0, 1.0],
    "noise": 0.02,
}


@pytest.mark.parametrize(
    ("model", "fields", "change", "words"),
    [
        (Grid, GRID, {"seconds": [1e-6] * 7}, "seconds must have 8 numbers, one a cell, got 7"),
        (Grid, GRID, {"n": [2.0, 1]}, "n must rise"),
        (Scatter, SCATTER, {"seconds": [1e-6] * 2}, "a point for each of the 2 seconds, got 1"),
        (Scatter, SCATTER, {"scales": [1.0]}, r"points and scales must have 2 numbers \(m, n\)"),
        (Scatter, SCATTER, {"points": [[1.0]]}, r"points and scales must have 2 numbers \(m, n\)"),
    ],
)
def test_a_table_of_another_shape_is_refused(
    model: type[Grid | Scatter], fields: dict[str, Any], change: dict[str, Any], words: str
) -> None:
    model.model_validate(fields)
    with pytest.raises(ValueError, match=words):
        model.model_validate(fields | change)


def test_what_is_computed_from_a_table_is_no_part_of_it() -> None:
    used, fresh = Grid.model_validate(GRID), Grid.model_validate(GRID)
    used.once("answer", float)
    assert used == fresh
    assert used.model_dump() == fresh.model_dump()


def test_the_dispatch_is_the_shortest_time() -> None:
    curve = Curve(sizes=[1.0, 2], lengths=[1.0, 2], seconds=[[3e-6, 4e-6], [2e-6, 9e-6]])
    assert curve.dispatch_s == 2e-6


def test_two_curves_of_an_older_calibration_are_read() -> None:
    old = {
        "distance": [1e6, 1e8],
        "small": [0.0, 7e-11],
        "large": [0.0, 4e-11],
        "spread": [0.0, 0.0],
        "limit_bytes": 5e5,
    }
    read = Residency.model_validate(old)
    assert miss_per_byte(read, Weight(1e5, 1024), 1e8) == pytest.approx(7e-11)
    assert miss_per_byte(read, Weight(1e6, 1024, 16), 1e8) == pytest.approx(4e-11)
    assert read.others == 0
