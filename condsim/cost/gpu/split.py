"""Split-K: a product with fewer tiles than SMs is cut along its depth, and the parts are added up.

    tiles = parts times as many, each of a parts-th of the depth        bytes of the sum = 2 * parts * M N * 4, through L2

Source: NVIDIA CUTLASS, Efficient GEMM, "Parallelized reductions": partial results in fp32 go to a workspace, a second kernel adds them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from condsim.cost.gpu import traffic
from condsim.hardware import HardwareProfile
from condsim.hardware.gpu import Gpu

PARTS = (1, 2, 4, 8, 16)
PARTIAL_BYTES = 4  # fp32


def reduction_seconds(parts: int, results: Any, profile: HardwareProfile, gpu: Gpu) -> Any:
    """Seconds that adding up takes; 0 for one part. results: elements of the product, number or array."""
    if parts == 1:
        return 0.0 * np.asarray(results)
    return gpu.kernel_s.value + traffic.stream_seconds(
        2.0 * parts * results * PARTIAL_BYTES, profile, gpu
    )
