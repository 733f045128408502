"""Joules of a run.

energy = idle power * seconds + FLOPs * J a FLOP + Σ levels bytes * J a byte,
         no more than power limit * seconds
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from condsim.errors import unknown
from condsim.hardware import HardwareProfile


def work_j(
    flops: Any,
    traffic_bytes: Any,
    profile: HardwareProfile,
    dtype: str | None = None,
    level: str | None = None,
) -> Any:
    """Joules of what is computed and moved.

    flops, traffic_bytes: numbers or arrays [n]; traffic_bytes may be a mapping from memory level to
    such. dtype: of the arithmetic, default the profile's. level: of memory that the bytes come
    from, default the largest. Raises CondsimError for a dtype or a level that the profile has no
    energy for.
    """
    power = profile.power
    dtype = profile.dtype if dtype is None else dtype
    if dtype not in power.j_per_flop:
        raise unknown("dtype of power.j_per_flop", dtype, power.j_per_flop)
    joules = flops * power.j_per_flop[dtype].value
    if not isinstance(traffic_bytes, Mapping):
        level = _largest_level(profile) if level is None else level
        traffic_bytes = {level: traffic_bytes}
    for name, level_bytes in traffic_bytes.items():
        if name not in power.j_per_byte:
            raise unknown("level of power.j_per_byte", name, power.j_per_byte)
        joules = joules + level_bytes * power.j_per_byte[name].value
    return joules


def with_idle_j(seconds: Any, joules: Any, profile: HardwareProfile) -> Any:
    """Joules with what the device takes when idle, no more than its limit.

    seconds: a number or an array [n]. joules: of `work_j`.
    """
    power = profile.power
    total = power.idle_w.value * seconds + joules
    if power.limit_w is None:
        return total
    return np.minimum(total, power.limit_w.value * seconds)


def _largest_level(profile: HardwareProfile) -> str:
    """The largest level of memory that the profile has an energy for."""
    sizes: dict[str, float] = {}
    for name in profile.power.j_per_byte:
        level = profile.memory.get(name)
        sizes[name] = 0 if level is None else level.bytes.value
    return max(sizes, key=sizes.__getitem__)
