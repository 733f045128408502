"""An operator's time from peak rates alone, for a device that nobody calibrated: an estimate.

    seconds = dispatch + max(flops / (peak * efficiency), bytes / bandwidth)

Source: Williams, Waterman, Patterson, "Roofline: an insightful visual performance model", 2009.
Not true where tiles or waves are partly empty, nor for weights that stay in a cache.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from condsim.errors import CondsimError
from condsim.hardware import HardwareProfile

DTYPE_BYTES = {"fp64": 8, "fp32": 4, "tf32": 4, "bf16": 2, "fp16": 2, "fp8": 1, "int8": 1}


def roofline_seconds(
    flops: Any, traffic_bytes: Any, profile: HardwareProfile, dtype: str | None = None
) -> tuple[Any, float]:
    """Seconds, dispatch included, and the dispatch.

    flops, traffic_bytes: numbers or arrays [n]; traffic over the largest memory. Raises CondsimError for a dtype that the device lacks.
    """
    compute = flops / peak_rate(profile, dtype)
    memory = traffic_bytes / profile.dram.bandwidth.value
    dispatch = profile.host.dispatch.value
    return dispatch + np.maximum(compute, memory), dispatch


def peak_rate(profile: HardwareProfile, dtype: str | None = None) -> float:
    """FLOPs a second that a large matmul reaches. Raises CondsimError for a dtype that the device lacks."""
    dtype = profile.dtype if dtype is None else dtype
    if dtype not in profile.peak_flops:
        raise CondsimError(f"{profile.name} has no {dtype}; it has {', '.join(profile.peak_flops)}")
    return profile.peak_flops[dtype].value * profile.matmul_efficiency.value
