"""Bytes that a kernel moves, and the seconds they take: from L2 what fits there, else from DRAM.

    seconds = bytes / bandwidth        bandwidth: L2's up to half of its capacity, else DRAM's data sheet * dram_fraction

Source: gpu-benches (github.com/te42kyfo/gpu-benches) finds this law with a fixed time a kernel on every GPU it measures.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from condsim.errors import CondsimError
from condsim.hardware import HardwareProfile, Level
from condsim.hardware.gpu import Gpu

FITS = 0.5  # of L2: what one kernel wrote is read by the next while other data passes through


def l2(profile: HardwareProfile) -> Level:
    """The L2 cache of a GPU. Raises CondsimError where the profile has none."""
    if "l2" not in profile.memory:
        raise CondsimError(f"profile {profile.name!r}: a GPU needs memory.l2 (bytes, bandwidth)")
    return profile.memory["l2"]


def dram_bandwidth(profile: HardwareProfile, gpu: Gpu) -> float:
    """Bytes a second of a long stream from DRAM."""
    return profile.dram.bandwidth.value * gpu.dram_fraction.value


def stream_seconds(moved_bytes: Any, profile: HardwareProfile, gpu: Gpu) -> Any:
    """Seconds to move what one kernel of a chain reads and writes. moved_bytes: number or array."""
    cache = l2(profile)
    near = np.asarray(moved_bytes) < FITS * cache.bytes.value
    return np.where(
        near, moved_bytes / cache.bandwidth.value, moved_bytes / dram_bandwidth(profile, gpu)
    )


def weight_seconds(weight_bytes: Any, resident: Any, profile: HardwareProfile, gpu: Gpu) -> Any:
    """Seconds to read weights once. resident: the share of them that L2 still has, 0 to 1."""
    return weight_bytes * (
        (1.0 - resident) / dram_bandwidth(profile, gpu) + resident / l2(profile).bandwidth.value
    )


def resident_share(touched_bytes: Any, profile: HardwareProfile) -> Any:
    """Share of a step's weights that L2 still has from the step before: all of them up to its capacity, none beyond 1.5 times it.

    touched_bytes: of all weights of a step, number or array. Between the two, a cache that replaces at random keeps some of what is visited in turn.
    """
    return np.clip((1.5 - np.asarray(touched_bytes) / l2(profile).bytes.value) / 0.5, 0.0, 1.0)


def sector_bytes(rows: Any, row_bytes: Any, gpu: Gpu) -> Any:
    """Bytes that rows taken from anywhere move: each is a whole number of sectors. rows: how many; row_bytes: of one."""
    sector = gpu.sector_bytes.value
    return rows * np.ceil(row_bytes / sector) * sector
