"""All-reduce and all-gather of ranks that share every layer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from condsim.cost.gpu.collectives import collective_seconds
from condsim.cost.gpu.kernel import kernel
from condsim.cost.gpu.rates import GpuRates
from condsim.cost.hot import SizedOperator
from condsim.errors import CondsimError
from condsim.hardware import hardware
from condsim.parallel.tensor import ALL_GATHER, ALL_REDUCE

H200 = GpuRates(hardware("nvidia-h200-sxm"), "bf16", 2, 2)


def seconds(name: str, elements: int, ranks: int, device: GpuRates = H200) -> float:
    """Seconds of one collective of so many elements of bf16."""
    return float(
        collective_seconds(SizedOperator(name, [(elements,)], [(elements,)], (ranks,)), device)
    )


@pytest.mark.parametrize(
    ("moved", "ranks", "measured_us"),
    [(8192, 4, 4.8), (65536, 8, 6.6), (1 << 20, 4, 12.1), (1 << 22, 8, 28.4), (1 << 26, 4, 320.2)],
)
def test_it_takes_what_vllm_was_seen_to_take(moved: int, ranks: int, measured_us: float) -> None:
    assert seconds(ALL_REDUCE, moved // 2, ranks) * 1e6 == pytest.approx(measured_us, rel=0.2)


@given(st.integers(1, 1 << 28), st.sampled_from([2, 4, 8]))
def test_more_is_never_faster(elements: int, ranks: int) -> None:
    for name in (ALL_REDUCE, ALL_GATHER):
        assert seconds(name, 2 * elements, ranks) >= seconds(name, elements, ranks)


def test_it_is_communication_of_the_waterfall() -> None:
    operator = SizedOperator(ALL_REDUCE, [(4096,)], [(4096,)], (8,))
    on_device = kernel(operator, H200)
    assert on_device.worlds == {"communication": on_device.seconds}
    assert on_device.flops == 0


def test_a_ring_where_engines_were_not_timed_and_one_line_where_nothing_links() -> None:
    a100 = GpuRates(hardware("nvidia-a100-sxm-80gb"), "bf16", 2, 2)
    assert seconds(ALL_REDUCE, 1 << 20, 8, a100) > seconds(ALL_REDUCE, 1 << 20, 8)
    with pytest.raises(CondsimError, match="9 ranks"):
        seconds(ALL_REDUCE, 1024, 9)
    alone = GpuRates(hardware("nvidia-h20"), "bf16", 2, 2)
    with pytest.raises(CondsimError, match="no fabric links"):
        seconds(ALL_REDUCE, 1024, 2, alone)


def test_narrow_products_are_added_up_in_16_bits() -> None:
    narrow = GpuRates(hardware("nvidia-h200-sxm"), "fp8", 1, 1)
    assert seconds(ALL_REDUCE, 1 << 20, 8, narrow) == seconds(ALL_REDUCE, 1 << 20, 8)
