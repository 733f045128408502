"""Calls are made of operands of the size that was asked for."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from condsim.calibrate.operator_builds import matrix, on, reading_rows
from condsim.timing.cases import Pool


def test_operands_are_made_anew_and_numbers_are_passed() -> None:
    call: Any = on(torch.clamp, matrix, -1.0, 1.0)(Pool(), 64, 16)
    x, low, high = call.args
    assert x.shape == (4, 16)
    assert (low, high) == (-1.0, 1.0)
    first, second = on(torch.add, matrix, matrix)(Pool(), 64, 16).args  # type: ignore[attr-defined]
    assert first.data_ptr() != second.data_ptr()


@pytest.mark.parametrize(("elements", "length"), [(16, 4), (4096, 64), (2**20, 16)])
def test_rows_that_are_read_exist(elements: int, length: int) -> None:
    call: Any = reading_rows(lambda x, rows: x[rows])(Pool(), elements, length)
    x, rows = call.args
    assert int(rows.max()) < x.shape[0]
    assert call().shape == (len(rows), length)
