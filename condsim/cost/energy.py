"""Joules of a run.

energy = idle power * seconds + FLOPs * J a FLOP + bytes * J a byte, no more than power limit * seconds
"""

from __future__ import annotations

from typing import Any

import numpy as np

from condsim.errors import unknown
from condsim.hardware import HardwareProfile


def energy_j(seconds: Any, flops: Any, traffic_bytes: Any, profile: HardwareProfile, dtype: str | None = None, level: str | None = None) -> Any:
    """Joules.

    seconds, flops, traffic_bytes: numbers or arrays [n]. dtype: of the arithmetic, default the profile's. level: of memory that the bytes come from,
    default the largest. Raises CondsimError for a dtype or a level that the profile has no energy for.
    """
    power = profile.power
    dtype = profile.dtype if dtype is None else dtype
    if level is None:
        level = max(power.j_per_byte, key=lambda name: profile.memory[name].bytes.value if name in profile.memory else 0)
    if dtype not in power.j_per_flop:
        raise unknown("dtype of power.j_per_flop", dtype, power.j_per_flop)
    if level not in power.j_per_byte:
        raise unknown("level of power.j_per_byte", level, power.j_per_byte)
    joules = power.idle_w.value * seconds + flops * power.j_per_flop[dtype].value + traffic_bytes * power.j_per_byte[level].value
    if power.limit_w is None:
        return joules
    return np.minimum(joules, power.limit_w.value * seconds)
