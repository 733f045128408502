"""Bytes that a kernel moves, and the seconds they take: from L2 what fits there, else from DRAM.

    seconds = bytes / bandwidth
    bandwidth: L2's up to half of its capacity, else DRAM's data sheet * dram_fraction

Source: gpu-benches (github.com/te42kyfo/gpu-benches) finds this law with a fixed time a kernel on
every GPU it measures. The threshold of what one kernel leaves for the next is a guess.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from condsim.cost.gpu.rates import GpuRates, l2_of
from condsim.hardware import HardwareProfile

FITS = 0.5
"""Share of L2 that keeps what one kernel wrote for the next, while other data passes through."""
RESIDENT = ((0.85, 1.0), (1.0, 0.67), (1.13, 0.26), (1.24, 0.11), (1.5, 0.0))
"""(bytes over the capacity of L2, share that a second pass finds there): the mean of what an A100,
an H200 and an L40 show. Source: te42kyfo/gpu-benches, gpu-l2-cache/{a100_80,h200,l40}.txt, seconds
a byte between those of L2 and those of DRAM."""


def stream_seconds(moved_bytes: Any, device: GpuRates, weight_bytes: Any = 0.0) -> Any:
    """Seconds to move what one kernel of a chain reads and writes.

    moved_bytes, weight_bytes: numbers or arrays. Weights that pass through L2 beside what is moved
    leave no room for it there.
    """
    l2 = device.l2
    from_l2_s = moved_bytes / l2.bandwidth.value
    from_dram_s = moved_bytes / device.dram_bytes_per_s
    passes = moved_bytes + FITS * np.asarray(weight_bytes)
    fits = passes < FITS * l2.bytes.value
    return np.where(fits, from_l2_s, from_dram_s)


def weight_seconds(weight_bytes: Any, resident: Any, device: GpuRates) -> Any:
    """Seconds to read weights once. resident: the share of them that L2 still has, 0 to 1."""
    from_dram = (1.0 - resident) / device.dram_bytes_per_s
    from_l2 = resident / device.l2.bandwidth.value
    return weight_bytes * (from_dram + from_l2)


def resident_share(touched_bytes: Any, profile: HardwareProfile) -> Any:
    """Share of a step's weights that L2 still has from the step before.

    touched_bytes: of all weights of a step, number or array.
    """
    times_capacity = np.asarray(touched_bytes) / l2_of(profile).bytes.value
    sizes, shares = zip(*RESIDENT, strict=True)
    return np.interp(times_capacity, sizes, shares)


def sector_bytes(rows: Any, row_bytes: Any, device: GpuRates) -> Any:
    """Bytes that rows taken from anywhere move: each is a whole number of sectors.

    rows: how many. row_bytes: of one.
    """
    sector = device.gpu.sector_bytes.value
    return rows * np.ceil(row_bytes / sector) * sector
