"""The sizes that a calibration visits."""

from __future__ import annotations

import pytest

from condsim.calibrate import matmul, shapes
from condsim.calibrate.shapes import Convolution
from condsim.cost.cpu.kernel_families import bmm_family, conv_family
from condsim.timing.cases import Pool


def test_visited_sizes_are_the_ones_that_are_timed() -> None:
    keys = [key for key in matmul.cases(Pool(), shapes.NORMAL) if key[0] == "linear"]
    assert shapes.visited("linear") == {(m, n, k, 1) for _, m, n, k in keys}
    for family in ("bmm", "attention", "conv2d"):
        assert len(shapes.visited(family)) > 50
    assert shapes.visited("softmax") == frozenset()


def test_overlap_is_the_share_of_kernels_at_visited_sizes() -> None:
    visited, other = (16, 64, 32, 1), (17, 65, 32, 1)
    assert shapes.overlap([("linear", visited), ("linear", other)]) == 0.5
    assert shapes.overlap([]) == 0.0


def test_sizes_are_drawn_alike_every_time() -> None:
    assert shapes.conv_sizes("conv2d", 20) == shapes.conv_sizes.__wrapped__("conv2d", 20)
    assert shapes.attention_sizes(20) == shapes.attention_sizes.__wrapped__(20)


def test_more_sizes_begin_with_the_fewer_ones() -> None:
    assert shapes.bmm_sizes("bmm", 40)[:20] == shapes.bmm_sizes("bmm", 20)
    assert shapes.depthwise_sizes(40)[:20] == shapes.depthwise_sizes(20)


@pytest.mark.parametrize("family", ["bmm", "bmm_small", "bmm_row", "bmm_column"])
def test_products_run_the_kernel_that_they_are_drawn_for(family: str) -> None:
    for size in shapes.bmm_sizes(family, 30):
        assert bmm_family(*size) == family


@pytest.mark.parametrize("family", ["conv2d", "conv2d_native"])
def test_convolutions_run_the_kernel_that_they_are_drawn_for(family: str) -> None:
    for size in shapes.conv_sizes(family, 30):
        image = size.channels_in * size.side**2
        assert conv_family(size.batch, image, size.kernel, size.stride, 1) == family


def test_a_third_of_attention_has_one_query() -> None:
    drawn = shapes.attention_sizes(60)
    assert sum(size.queries == 1 for size in drawn) >= 20
    assert all(size.queries in (1, size.keys) for size in drawn)


def test_a_stride_leaves_out_positions() -> None:
    assert Convolution(1, 8, 8, side=7, kernel=3, stride=1).area == 49
    assert Convolution(1, 8, 8, side=7, kernel=3, stride=2).area == 16
