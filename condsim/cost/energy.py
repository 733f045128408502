"""Joules of a run.

energy = idle power * seconds + FLOPs * J a FLOP + Σ levels bytes * J a byte, no more than power limit * seconds
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from condsim.errors import unknown
from condsim.hardware import HardwareProfile


def energy_j(
    seconds: Any,
    flops: Any,
    traffic_bytes: Any,
    profile: HardwareProfile,
    dtype: str | None = None,
    level: str | None = None,
) -> Any:
    """Joules.

    seconds, flops, traffic_bytes: numbers or arrays [n]; traffic_bytes may be a mapping from memory level to such. dtype: of the arithmetic, default the
    profile's. level: of memory that the bytes come from, default the largest. Raises CondsimError for a dtype or a level that the profile has no energy for.
    """
    power = profile.power
    dtype = profile.dtype if dtype is None else dtype
    if level is None:
        level = max(
            power.j_per_byte,
            key=lambda name: profile.memory[name].bytes.value if name in profile.memory else 0,
        )
    if dtype not in power.j_per_flop:
        raise unknown("dtype of power.j_per_flop", dtype, power.j_per_flop)
    joules = power.idle_w.value * seconds + flops * power.j_per_flop[dtype].value
    for name, size in (
        traffic_bytes if isinstance(traffic_bytes, Mapping) else {level: traffic_bytes}
    ).items():
        if name not in power.j_per_byte:
            raise unknown("level of power.j_per_byte", name, power.j_per_byte)
        joules = joules + size * power.j_per_byte[name].value
    return joules if power.limit_w is None else np.minimum(joules, power.limit_w.value * seconds)
