"""Cases of all operators but products, how they are called, and the curves made of their times."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from condsim.calibrate import operators, shapes
from condsim.calibrate.operators import LENGTH, curves, rotated
from condsim.timing.cases import Pool, Rotation


def _times(size: shapes.Size) -> dict[Any, float]:
    """A time for each case that grows with its elements."""
    times = {}
    for key in operators.cases(Pool(), size):
        elements = key[-1] if isinstance(key[-1], int) else 1
        times[key] = 1e-6 + 1e-9 * elements
    return times


def test_every_case_runs() -> None:
    with torch.inference_mode():
        for make in operators.cases(Pool(), shapes.TINY).values():
            make()()


def test_a_tiny_operator_has_one_set_of_tensors_and_a_large_one_several() -> None:
    pool = Pool()
    build = operators.ELEMENTWISE["add"]
    assert not isinstance(rotated(build, pool, 16, 4), Rotation)
    assert isinstance(rotated(build, pool, 8192, 64), Rotation)
    assert not isinstance(rotated(build, pool, 2**20, 64), Rotation)


def test_every_operator_has_a_curve() -> None:
    found = curves(_times(shapes.TINY), shapes.TINY)
    rowwise = {*operators.ROWWISE}
    alike = {*operators.ELEMENTWISE, *operators.OTHERS, *operators.CONSTANT, "elementwise"}
    views = {f"{name}.view" for name in operators.VIEWS}
    assert found.keys() == rowwise | alike | views
    assert len(found["softmax"].seconds) == len(shapes.TINY.lengths)
    assert found["elementwise"].seconds == found["add"].seconds


def test_most_elements_are_timed_at_two_lengths_and_others_grow_like_the_first_of_them() -> None:
    size = shapes.NORMAL
    times = _times(size)
    *_, before, most = size.elements
    assert ("softmax", 4, most) not in times
    assert ("softmax", size.lengths[-2], most) in times
    times["softmax", 4, before] = 1.0
    growth = times["softmax", size.lengths[-2], most] / times["softmax", size.lengths[-2], before]
    row = curves(times, size)["softmax"].seconds[size.lengths.index(4)]
    assert row[-1] == pytest.approx(growth)


def test_elementwise_operators_have_one_row_length() -> None:
    keys = [key for key in operators.cases(Pool(), shapes.TINY) if key[0] == "add"]
    assert keys == [("add", LENGTH, elements) for elements in shapes.TINY.elements]
