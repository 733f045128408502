"""Fitted constants: what an engine's kernels do on a device, as `profile.replace(...)` of six
numbers. The shipped profiles hold none of them.

They are fitted by `benchmarks/gpu_tables.py --fit` on half of the shapes of one table, the other
half is what is scored.
"""

from __future__ import annotations

from collections.abc import Mapping

NAMES = (
    "gpu.kernel_s",
    "gpu.dram_fraction",
    "gpu.operand_bytes_per_clock",
    "gpu.overlap",
    "gpu.tile_s",
    "gpu.row_s",
)
GEMM_NAMES = (
    "gpu.kernel_s",
    "gpu.dram_fraction",
    "gpu.operand_bytes_per_clock",
    "gpu.overlap",
    "gpu.tile_s",
    "matmul_efficiency",
)
Constants = Mapping[str, float]

FITTED: dict[str, tuple[Constants, Constants]] = {
    "vllm-0.24.0": (
        {
            "gpu.kernel_s": 3.725e-06,
            "gpu.dram_fraction": 0.9359,
            "gpu.operand_bytes_per_clock": 32.37,
            "gpu.overlap": 3.659,
            "gpu.tile_s": 2.457e-07,
            "gpu.row_s": 1.812e-09,
        },
        {
            "gpu.kernel_s": 3.672e-06,
            "gpu.dram_fraction": 0.9995,
            "gpu.operand_bytes_per_clock": 36.37,
            "gpu.overlap": 2.103,
            "gpu.tile_s": 2.601e-07,
            "gpu.row_s": 2.092e-09,
        },
    ),
}
"""Engine-version → constants from the even and from the odd half of the shapes.

vllm-0.24.0: on the H100, bf16, the Triton kernels.
"""

GEMM: tuple[Constants, Constants] = (
    {
        "gpu.kernel_s": 2.307e-06,
        "gpu.dram_fraction": 0.8792,
        "gpu.operand_bytes_per_clock": 64.0,
        "gpu.overlap": 6.112,
        "gpu.tile_s": 1.39e-06,
        "matmul_efficiency": 0.9238,
    },
    {
        "gpu.kernel_s": 2.468e-06,
        "gpu.dram_fraction": 0.8812,
        "gpu.operand_bytes_per_clock": 64.0,
        "gpu.overlap": 6.428,
        "gpu.tile_s": 1.209e-06,
        "matmul_efficiency": 0.9121,
    },
)
"""Constants of dense products, from each half of the (n, k) of the H100's table, bf16, cuBLAS."""
