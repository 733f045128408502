"""The roofline: monotone in work and bandwidth, and only for dtypes that the device has."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from condsim.cost.roofline import element_bytes, peak_rate, roofline_seconds
from condsim.errors import CondsimError
from condsim.hardware import hardware

DEVICE = hardware("nvidia-h100-sxm")


@given(flops=st.floats(0, 1e15), traffic=st.floats(0, 1e12), factor=st.floats(1, 10))
def test_monotone_in_work_and_bandwidth(flops: float, traffic: float, factor: float) -> None:
    seconds, dispatch = roofline_seconds(flops, traffic, DEVICE)
    assert seconds >= dispatch
    more_work, _ = roofline_seconds(flops * factor, traffic * factor, DEVICE)
    assert more_work >= seconds
    bandwidth = DEVICE.memory["hbm"].bandwidth.value * factor
    wider = DEVICE.replace(**{"memory.hbm.bandwidth": bandwidth})
    assert roofline_seconds(flops, traffic, wider)[0] <= seconds


def test_elements_have_the_size_of_their_dtype() -> None:
    assert element_bytes(DEVICE) == 2
    assert element_bytes(DEVICE, "fp32") == 4


def test_a_dtype_the_device_lacks_is_refused() -> None:
    for ask in (peak_rate, element_bytes):
        with pytest.raises(CondsimError, match="nvidia-h100-sxm has no int4; it has fp32, tf32"):
            ask(DEVICE, "int4")


def test_a_dtype_of_unknown_size_is_refused() -> None:
    peak = DEVICE.peak_flops["fp8"]
    newer = DEVICE.replace(peak_flops={"mxfp4": peak, "bf16": peak})
    with pytest.raises(CondsimError, match="unknown dtype 'mxfp4'"):
        element_bytes(newer, "mxfp4")
