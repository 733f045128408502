"""What products cost at sizes that were never run."""

from __future__ import annotations

import pytest
import torch

from condsim.calibrate.new_shapes import FAMILIES, first_call_extra_s, new_shape_costs
from condsim.timing.cases import Pool, threads


@pytest.mark.skipif(
    not torch.backends.mkldnn.is_available(), reason="kernels for sizes are oneDNN's"
)
def test_new_sizes_of_a_convolution_wait_for_their_kernels() -> None:
    with threads(1):
        assert new_shape_costs(Pool())["conv2d"] > 0
        assert new_shape_costs(Pool())["conv2d"] > 0  # what was written before is forgotten


@pytest.mark.parametrize("family", FAMILIES)
def test_there_is_a_number_for_each_size(family: str) -> None:
    with threads(1):
        assert len(first_call_extra_s(FAMILIES[family], Pool(), range(3, 6))) == 3
