"""Which kernel a product runs."""

from __future__ import annotations

import numpy as np
import pytest

from condsim.cost.cpu.kernel_families import bmm_family, conv_family


@pytest.mark.parametrize(
    ("sizes", "family"),
    [
        ((1, 64, 64, 64), "mm"),
        ((2, 7, 7, 8), "bmm_small"),
        ((2, 1, 64, 64), "bmm_row"),
        ((2, 64, 1, 64), "bmm_column"),
        ((2, 64, 64, 64), "bmm"),
    ],
)
def test_batched_products(sizes: tuple[int, int, int, int], family: str) -> None:
    assert bmm_family(*sizes) == family


def test_convolutions() -> None:
    assert conv_family(1, 100, 1.0, 1, 1) == "conv2d_native"
    assert conv_family(2, 100, 3.0, 1, 1) == "conv2d"
    assert conv_family(1, 100, 3.0, 1, 1) == "conv2d_native"
    assert conv_family(2, 100, 1.0, 1, 1, threads=2) == "conv2d"
    assert conv_family(np.array([1, 20]), 100, 1.0, 1, 1).tolist() == ["conv2d_native", "conv2d"]
