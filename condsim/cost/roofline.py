"""An operator's time from peak rates alone, for a device that nobody calibrated: an estimate.

    seconds = dispatch + max(flops / (peak * efficiency), bytes / bandwidth)

Source: Williams, Waterman, Patterson, "Roofline: an insightful visual performance model", 2009.
Not true where tiles or waves are partly empty, nor for weights that stay in a cache.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from condsim.errors import CondsimError, unknown
from condsim.hardware import HardwareProfile

DTYPE_BYTES = {"fp64": 8, "fp32": 4, "tf32": 4, "bf16": 2, "fp16": 2, "fp8": 1, "int8": 1}


def roofline_seconds(
    flops: Any, traffic_bytes: Any, profile: HardwareProfile, dtype: str | None = None
) -> tuple[Any, float]:
    """Seconds of an operator, its dispatch included, and the seconds of the dispatch.

    flops, traffic_bytes: numbers or arrays [n]; the traffic is with the largest memory.
    dtype: of the arithmetic, default the profile's. Raises CondsimError for a dtype that the device
    lacks.
    """
    compute = flops / peak_rate(profile, dtype)
    memory = traffic_bytes / profile.dram.bandwidth.value
    dispatch = profile.host.dispatch.value
    return dispatch + np.maximum(compute, memory), dispatch


def peak_rate(profile: HardwareProfile, dtype: str | None = None) -> float:
    """FLOPs a second that a large matmul reaches.

    dtype: default the profile's. Raises CondsimError for a dtype that the device lacks.
    """
    peak = profile.peak_flops[_supported(profile, dtype)]
    return peak.value * profile.matmul_efficiency.value


def element_bytes(profile: HardwareProfile, dtype: str | None = None) -> int:
    """Bytes of one element of the device's arithmetic.

    dtype: default the profile's. Raises CondsimError for a dtype that the device lacks, and for one
    whose size condsim does not know.
    """
    name = _supported(profile, dtype)
    if name not in DTYPE_BYTES:
        raise unknown("dtype", name, DTYPE_BYTES)
    return DTYPE_BYTES[name]


def _supported(profile: HardwareProfile, dtype: str | None) -> str:
    """The dtype's name, default the profile's. Raises CondsimError where the device lacks it."""
    name = profile.dtype if dtype is None else dtype
    if name not in profile.peak_flops:
        raise CondsimError(f"{profile.name} has no {name}; it has {', '.join(profile.peak_flops)}")
    return name
