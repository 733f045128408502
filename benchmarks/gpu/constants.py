"""Fitted constants: what an engine's kernels do on a device, as `profile.replace(...)` of six numbers. The shipped profiles hold none of them.

They are fitted by `benchmarks/gpu_tables.py --fit` on half of the shapes of one table, the other half is what is scored.
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
            "gpu.kernel_s": 4.189e-06,
            "gpu.dram_fraction": 0.9218,
            "gpu.operand_bytes_per_clock": 32.69,
            "gpu.overlap": 3.306,
            "gpu.tile_s": 2.172e-07,
            "gpu.row_s": 1.795e-09,
        },
        {
            "gpu.kernel_s": 3.857e-06,
            "gpu.dram_fraction": 1.0,
            "gpu.operand_bytes_per_clock": 37.31,
            "gpu.overlap": 1.91,
            "gpu.tile_s": 2.264e-07,
            "gpu.row_s": 2.295e-09,
        },
    ),
}
"""Engine-version → constants from the even and from the odd half of the shapes. vllm-0.24.0: on the H100, bf16, the Triton kernels."""

GEMM: tuple[Constants, Constants] = (
    {
        "gpu.kernel_s": 2.285e-06,
        "gpu.dram_fraction": 0.8764,
        "gpu.operand_bytes_per_clock": 64.0,
        "gpu.overlap": 5.704,
        "gpu.tile_s": 1.353e-06,
        "matmul_efficiency": 0.9228,
    },
    {
        "gpu.kernel_s": 2.442e-06,
        "gpu.dram_fraction": 0.8773,
        "gpu.operand_bytes_per_clock": 64.0,
        "gpu.overlap": 6.376,
        "gpu.tile_s": 1.202e-06,
        "matmul_efficiency": 0.9123,
    },
)
"""Constants of dense products, from each half of the (n, k) of the H100's table, bf16, cuBLAS."""
