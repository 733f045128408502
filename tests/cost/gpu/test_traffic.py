"""Traffic: from L2 what fits there, whole sectors of what is gathered."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from condsim.cost.gpu import traffic
from condsim.cost.gpu.rates import GpuRates, l2_of
from condsim.errors import CondsimError
from condsim.hardware import hardware


def test_weights_that_fit_l2_stay_there(h100: GpuRates) -> None:
    capacity = h100.l2.bytes.value
    touched = capacity * np.array([0.1, 0.85, 1.13, 1.5, 9.0])
    shares = traffic.resident_share(touched, h100.profile)
    assert shares.tolist() == [1.0, 1.0, 0.26, 0.0, 0.0]
    kept, read = (float(traffic.weight_seconds(1e7, share, h100)) for share in (1.0, 0.0))
    assert kept < read


@given(st.floats(1, 1e9), st.floats(1, 1e9))
def test_more_bytes_take_longer(moved: float, more: float) -> None:
    device = GpuRates(hardware("nvidia-h100-sxm"), "bf16", 2, 2)
    few, many = traffic.stream_seconds(np.array([moved, moved + more]), device)
    assert few <= many


def test_a_gather_moves_whole_sectors(h100: GpuRates) -> None:
    assert traffic.sector_bytes(100, 2, h100) == 100 * 32
    assert traffic.sector_bytes(100, 64, h100) == 100 * 64


def test_a_gpu_without_an_l2_is_refused() -> None:
    with pytest.raises(CondsimError, match=r"a GPU needs memory\.l2"):
        l2_of(hardware("google-tpu-v4"))
