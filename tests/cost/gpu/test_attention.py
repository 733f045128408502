"""Attention of decode steps: what its thread blocks take at least."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from condsim.cost.gpu.attention import PAGED, UNPACKED
from condsim.cost.gpu.kernel import kernel
from condsim.cost.gpu.rates import GpuRates
from condsim.cost.hot import SizedOperator
from condsim.hardware import HardwareProfile, hardware

HOPPER = hardware("nvidia-h200-sxm")
WORKSTATION = hardware("nvidia-rtx-pro-6000")
HEADS, SHARED, WIDTH = 32, 8, 128


def seconds(sequences: int, keys: int, profile: HardwareProfile, name: str = PAGED) -> float:
    """Seconds of one kernel of Llama-3.1-8B."""
    query = (sequences, HEADS, 1, WIDTH)
    cache = (sequences, SHARED, keys, 2 * WIDTH)
    operator = SizedOperator(name, [query, cache], [query], (2 * WIDTH,))
    return float(kernel(operator, GpuRates(profile, "bf16", 2, 2)).seconds)


@pytest.mark.parametrize(
    ("sequences", "keys", "measured_us"),
    [(1, 1, 11.4), (32, 127, 17.0), (64, 1023, 80.7), (128, 255, 64.0), (256, 1, 67.3)],
)
def test_it_takes_what_vllm_was_seen_to_take(sequences: int, keys: int, measured_us: float) -> None:
    assert seconds(sequences, keys, HOPPER) * 1e6 == pytest.approx(measured_us, rel=0.2)


@pytest.mark.parametrize(
    ("sequences", "keys", "measured_us"),
    [(32, 923, 150.0), (64, 615, 187.0), (128, 410, 307.0), (128, 1384, 836.0)],
)
def test_beside_prompts_each_head_is_a_block(sequences: int, keys: int, measured_us: float) -> None:
    beside = seconds(sequences, keys, WORKSTATION, UNPACKED)
    assert beside * 1e6 == pytest.approx(measured_us, rel=0.15)
    assert beside > seconds(sequences, keys, WORKSTATION)


def test_packed_kernels_cost_the_same_beside_prompts() -> None:
    assert seconds(64, 500, HOPPER, UNPACKED) == seconds(64, 500, HOPPER)


def test_without_figures_it_costs_what_a_product_does() -> None:
    assert HOPPER.gpu is not None
    gpu = HOPPER.gpu.model_copy(update={"decode_attention": None})
    unknown = HOPPER.model_copy(update={"gpu": gpu})
    assert seconds(1, 64, unknown) < seconds(1, 64, HOPPER)
    assert seconds(64, 1 << 16, unknown) == pytest.approx(seconds(64, 1 << 16, HOPPER), rel=0.02)


@given(st.integers(1, 256), st.integers(1, 4096))
def test_more_sequences_and_more_keys_are_never_faster(sequences: int, keys: int) -> None:
    for name in (PAGED, UNPACKED):
        here = seconds(sequences, keys, WORKSTATION, name)
        assert seconds(sequences + 8, keys, WORKSTATION, name) >= here
        assert seconds(sequences, keys + 64, WORKSTATION, name) >= here
