"""Memory of prepared graphs: more bandwidth is never slower, a cache that holds everything makes weights free, tiles never shrink an array."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from condsim.cost.static.on_chip_memory import (
    on_chip,
    tiled_elements,
    traffic_seconds,
    weight_share,
)
from condsim.hardware import hardware
from condsim.program import elements

EDGE, V5E = hardware("google-edge-tpu"), hardware("google-tpu-v5e")
many = st.floats(0, 1e9)


@given(many, many, st.floats(1.0, 100.0))
def test_more_bandwidth_is_never_slower(weights: float, activations: float, factor: float) -> None:
    faster = V5E.replace(**{"memory.hbm.bandwidth": V5E.dram.bandwidth.value * factor})
    for slow, fast in zip(
        traffic_seconds(weights, activations, V5E)[:2],
        traffic_seconds(weights, activations, faster)[:2],
        strict=True,
    ):
        assert fast <= slow


def test_what_fits_stays_on_the_chip() -> None:
    chip = on_chip(V5E)
    assert chip is not None
    _, inside, fits = traffic_seconds(0.0, chip.bytes.value, V5E)
    _, outside, spills = traffic_seconds(0.0, chip.bytes.value * 1.001, V5E)
    assert fits
    assert not spills
    assert inside == pytest.approx(chip.bytes.value / chip.bandwidth.value)
    assert outside > 10 * inside


@given(st.floats(1, 1e9))
def test_a_weight_cache(weights: float) -> None:
    share = weight_share(EDGE, weights)
    assert 0 <= share <= 1
    assert share == (0 if weights <= 8e6 else pytest.approx(1 - 8e6 / weights))
    assert weight_share(V5E, weights) == 1
    assert weight_share(EDGE.replace(weight_cache_bytes=weights), weights) == 0


@given(st.lists(st.integers(1, 300), min_size=1, max_size=5), st.sampled_from([1, 2, 4]))
def test_tiles_never_shrink_an_array(shape: list[int], itemsize: int) -> None:
    assert tiled_elements(tuple(shape), itemsize, 8) >= elements(tuple(shape))


def test_tiles_by_hand() -> None:
    assert tiled_elements((16, 128), 2, 8) == 16 * 128  # whole tiles of bf16
    assert tiled_elements((1, 24), 2, 8) == 16 * 128
    assert tiled_elements((128, 24), 2, 8) == 32 * 128  # 128 along the lanes
    assert tiled_elements((np.array([8, 16]), 128), 2, 8).tolist() == [16 * 128, 16 * 128]
    assert tiled_elements((), 2, 8) == 1
