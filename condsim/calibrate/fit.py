"""Constants of a profile that fit measured times best."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from scipy.optimize import least_squares

from condsim.hardware import HardwareProfile

MOST: Mapping[str, float] = {
    "gpu.dram_fraction": 1.0,
    "gpu.operand_bytes_per_clock": 64.0,
    "matmul_efficiency": 1.0,
}
LEAST: Mapping[str, float] = {"gpu.overlap": 1.0}
"""What physics allows."""


def fit(
    seconds: Callable[[HardwareProfile], np.ndarray],
    measured_s: np.ndarray,
    profile: HardwareProfile,
    names: Sequence[str],
) -> dict[str, float]:
    """Least squares of ln(predicted / measured) with soft-L1 loss, from the profile's own values.

    seconds: profile → predicted seconds of each row, float [rows]; measured_s: float [rows]. names: dotted numbers of the profile. Returns name → value.
    """
    measured = np.log(measured_s)

    def constants(z: np.ndarray) -> dict[str, float]:
        return {
            n: max(min(float(np.exp(x)), MOST.get(n, np.inf)), LEAST.get(n, 0.0))
            for n, x in zip(names, z, strict=True)
        }

    def off(z: np.ndarray) -> np.ndarray:
        found: np.ndarray = np.log(seconds(profile.replace(**constants(z)))) - measured
        return found

    start = np.log([_value(profile, n) for n in names])
    found = least_squares(off, start, loss="soft_l1", f_scale=0.1, diff_step=[0.03], max_nfev=12)
    return {n: float(f"{v:.4g}") for n, v in constants(found.x).items()}


def _value(profile: HardwareProfile, dotted: str) -> float:
    quantity: Any = functools.reduce(getattr, dotted.split("."), profile)
    return float(quantity.value)
