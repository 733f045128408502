"""Constants of a profile that fit measured times best."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from scipy.optimize import least_squares

from condsim.hardware import HardwareProfile
from condsim.hardware.quantity import LARGEST, SMALLEST

MOST: Mapping[str, float] = {
    "gpu.dram_fraction": 1.0,
    "gpu.operand_bytes_per_clock": 64.0,
    "matmul_efficiency": 1.0,
}
LEAST: Mapping[str, float] = {"gpu.overlap": 1.0}
"""What physics allows."""
NOTHING = 10 * SMALLEST
"""The least of a constant that the times do not ask for: a profile takes no 0."""


def fit(
    seconds: Callable[[HardwareProfile], np.ndarray],
    measured_s: np.ndarray,
    profile: HardwareProfile,
    names: Sequence[str],
) -> dict[str, float]:
    """Least squares of ln(predicted / measured) with soft-L1 loss, from the profile's own values.

    seconds: profile → predicted seconds of each row, float [rows]. measured_s: float [rows].
    names: dotted names of numbers of the profile. Returns name → value.
    """

    def residuals(logs: np.ndarray) -> np.ndarray:
        predicted_s = seconds(profile.replace(**_constants(names, logs)))
        difference: np.ndarray = np.log(predicted_s) - np.log(measured_s)
        return difference

    start = np.log([_value(profile, name) for name in names])
    best = least_squares(
        residuals, start, loss="soft_l1", f_scale=0.1, diff_step=[0.03], max_nfev=12
    )
    rounded = {}
    for name, value in _constants(names, best.x).items():
        rounded[name] = float(f"{value:.4g}")
    return rounded


def _constants(names: Sequence[str], logs: np.ndarray) -> dict[str, float]:
    """Name → constant within what physics allows. logs: natural logarithms, float [names]."""
    constants = {}
    for name, log in zip(names, logs, strict=True):
        value = float(np.exp(log))
        not_too_large = min(value, MOST.get(name, LARGEST))
        constants[name] = max(not_too_large, LEAST.get(name, NOTHING))
    return constants


def _value(profile: HardwareProfile, dotted: str) -> float:
    quantity: Any = profile
    for part in dotted.split("."):
        quantity = getattr(quantity, part)
    return float(quantity.value)
