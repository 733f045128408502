"""What products cost at sizes that were never run."""

from __future__ import annotations

import statistics

import pytest
import torch

from condsim.calibrate.new_shapes import FAMILIES, SIZES, first_call_extra_s, forget_kernels
from condsim.timing.cases import Pool, threads


@pytest.mark.skipif(
    not torch.backends.mkldnn.is_available(), reason="kernels for sizes are oneDNN's"
)
def test_new_sizes_of_a_convolution_wait_for_their_kernels() -> None:
    make = FAMILIES["conv2d"]
    with threads(1), torch.inference_mode():
        for _ in range(2):
            forget_kernels()
            extra_s = first_call_extra_s(make, Pool(), SIZES)
            assert statistics.median(extra_s) > 0


@pytest.mark.parametrize("family", FAMILIES)
def test_there_is_a_number_for_each_size(family: str) -> None:
    with threads(1):
        assert len(first_call_extra_s(FAMILIES[family], Pool(), range(3, 6))) == 3
