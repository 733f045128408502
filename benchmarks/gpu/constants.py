"""Fitted constants: what an engine's kernels do on a device, as `profile.replace(...)` of six numbers. The shipped profiles hold none of them.

They are fitted by `benchmarks/gpu_tables.py --fit` on half of the shapes of one table, the other half is what is scored.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy.optimize import least_squares

from benchmarks.gpu.predict import Case, predicted
from condsim.hardware import HardwareProfile

NAMES = ("gpu.kernel_s", "gpu.dram_fraction", "gpu.operand_bytes_per_clock", "gpu.overlap", "gpu.tile_s", "gpu.row_s")
MOST = {"gpu.dram_fraction": 1.0, "gpu.operand_bytes_per_clock": 64.0}  # what physics allows
Constants = Mapping[str, float]

FITTED: dict[str, tuple[Constants, Constants]] = {
    "vllm-0.24.0": (
        {
            "gpu.kernel_s": 4.189e-06, "gpu.dram_fraction": 0.9218, "gpu.operand_bytes_per_clock": 32.69, "gpu.overlap": 3.306,
            "gpu.tile_s": 2.172e-07, "gpu.row_s": 1.795e-09,
        },
        {
            "gpu.kernel_s": 3.857e-06, "gpu.dram_fraction": 1.0, "gpu.operand_bytes_per_clock": 37.31, "gpu.overlap": 1.91,
            "gpu.tile_s": 2.264e-07, "gpu.row_s": 2.295e-09,
        },
    ),
}  # fmt: skip
"""Engine-version → constants from the even and from the odd half of the shapes. vllm-0.24.0: on the H100, bf16, the Triton kernels."""


def fit(cases: list[Case], rows: pd.DataFrame, profile: HardwareProfile, dtype: str) -> dict[str, float]:
    """The six constants that fit the rows best: least squares of ln(predicted / measured) with soft-L1 loss, from the profile's own values."""
    measured = np.log(rows["latency"].to_numpy() * 1e-3)

    def constants(z: np.ndarray) -> dict[str, float]:
        return {n: min(float(np.exp(x)), MOST.get(n, np.inf)) for n, x in zip(NAMES, z, strict=True)}

    def off(z: np.ndarray) -> np.ndarray:
        return np.log(predicted(cases, rows, profile.replace(**constants(z)), dtype)) - measured

    start = np.log([getattr(profile.gpu, n.partition(".")[2]).value for n in NAMES])
    found = least_squares(off, start, loss="soft_l1", f_scale=0.1, diff_step=0.03, max_nfev=12)
    return {n: float(f"{v:.4g}") for n, v in constants(found.x).items()}
