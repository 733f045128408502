"""Split-K: never slower, and for few deep tiles."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from condsim.cost.gpu import split
from condsim.cost.gpu.kernel import kernel
from condsim.cost.gpu.rates import GpuRates
from condsim.cost.hot import SizedOperator
from condsim.hardware import hardware

H100 = hardware("nvidia-h100-sxm")
BF16 = GpuRates(H100, "bf16", 2, 2)
WHOLE = (1,)


def seconds(m: int, n: int, k: int, parts: tuple[int, ...] = split.PARTS) -> float:
    """Seconds of a product that may be cut into so many parts."""
    inputs, outputs = [(m, k), (n, k)], [(m, n)]
    product = SizedOperator("linear", inputs, outputs)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(split, "PARTS", parts)
        return float(kernel(product, BF16).seconds)


@given(
    st.integers(1, 5000), st.sampled_from([512, 4096, 16384]), st.sampled_from([512, 8192, 65536])
)
def test_it_is_never_slower(m: int, n: int, k: int) -> None:
    assert seconds(m, n, k) <= seconds(m, n, k, WHOLE)


def test_it_is_for_few_deep_tiles() -> None:
    assert seconds(16, 512, 65536) < 0.4 * seconds(16, 512, 65536, WHOLE)
    assert seconds(20_000, 8192, 8192) == seconds(20_000, 8192, 8192, WHOLE)


def test_parts_are_added_up_by_a_kernel_of_their_own(h100: GpuRates) -> None:
    one, two, four = (float(split.reduction_seconds(parts, 1e6, h100)) for parts in (1, 2, 4))
    assert one == 0.0
    assert h100.gpu.kernel_s.value < two < four
