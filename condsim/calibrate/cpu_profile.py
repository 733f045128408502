"""The profile of a CPU, made of what its micro-benchmarks measured."""

from __future__ import annotations

import os
import platform
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from condsim.calibrate import matmul, operators, scattered, sparse
from condsim.calibrate.grouped import grouped_costs
from condsim.calibrate.operator_calls import ELEMENTWISE, VIEWS
from condsim.calibrate.shapes import Size
from condsim.calibrate.strided import strided_costs
from condsim.cost.cpu.new_memory import NEW
from condsim.cost.cpu.new_shapes import NEW_SHAPE
from condsim.hardware import (
    FORMAT,
    Activations,
    Among,
    Cold,
    Curve,
    Grid,
    HardwareProfile,
    Host,
    Level,
    Looped,
    Power,
    Quantity,
    Residency,
    Scatter,
    fingerprint,
)

INSTRUCTIONS_A_CALL = 60
"""Of a module's call, before its forward (CPython 3.11, no hooks)."""
READ_BYTES = 64e6
DEFAULT_RAM_BYTES = 8 * 2**30
"""Where the system does not say."""
DIGITS = 5
"""Of a measured number, which is more than it is worth."""


@dataclass(frozen=True)
class Measured:
    """What the micro-benchmarks of a CPU measured.

    machine: its fingerprint. itemsize: bytes of an element, in the dtype of the calibration.
    times: seconds of each operator and product, by key; doubtful: keys never timed undisturbed.
    instruction_s: of one bytecode instruction. compiled_s: of the host under torch.compile.
    read_64mb_s: of a sum over 64 MB. fresh_page_s_per_byte: extra, of memory at its first use.
    new_shape_s: extra, of a product's first call at a size, by family.
    yardstick_s: of the yardstick when nothing disturbs it.
    """

    machine: dict[str, str | int]
    itemsize: int
    times: dict[Any, float]
    doubtful: set[Any]
    residency: Residency
    activations: Activations
    among: Among
    cold: Cold
    looped: Looped
    instruction_s: float
    compiled_s: dict[str, float]
    read_64mb_s: float
    fresh_page_s_per_byte: float
    new_shape_s: dict[str, float]
    yardstick_s: float


def profile_of(measured: Measured, size: Size, threads: int, dtype: str) -> HardwareProfile:
    """The profile. size: what was measured; threads, dtype: under which it was."""
    times = measured.times
    curves = operators.curves(times, size)
    curves |= sparse.view_curves(times)
    curves["linear.bias"] = matmul.bias_curve(times)
    linear = matmul.grid(times, "linear", size.rows, size.columns, size.depths, size.flops)
    peak_flops = matmul.peak_flops(times)
    plural = "s" if threads > 1 else ""
    cpu = measured.machine["cpu"]
    profile = HardwareProfile(
        name=_name(threads, dtype),
        kind="cpu",
        description=f"{cpu}, {threads} thread{plural}, eager {dtype}, calibrated here",
        dtype=dtype,
        runtime="eager",
        threads=threads,
        fingerprint=measured.machine,
        yardstick_s=measured.yardstick_s,
        peak_flops={dtype: _calibrated(peak_flops, "the fastest linear layer that was timed")},
        matmul_efficiency=_calibrated(1.0, "peak_flops is a measured matmul"),
        memory=_memory(measured, curves["clone"]),
        host=_host_costs(measured.instruction_s, curves),
        power=_power(dtype),
        format=FORMAT,
        operators=curves,
        matmuls={"linear": linear, **_other_tables(measured, size)},
        extra_s=_extra_costs(measured, linear),
        residency=measured.residency,
        activations=measured.activations,
        among=measured.among,
        cold=measured.cold,
        looped=measured.looped,
    )
    return HardwareProfile.model_validate(_rounded(profile.model_dump()))


def _other_tables(measured: Measured, size: Size) -> dict[str, Grid | Scatter]:
    """The table of each family of products but linear layers."""
    times = measured.times
    mm = matmul.grid(times, "mm", size.mm_rows, size.mm_columns, size.mm_depths, size.flops)
    tables: dict[str, Grid | Scatter] = {"mm": mm}
    for family in scattered.FAMILIES:
        tables[family] = scattered.scatter(times, family, size, measured.doubtful)
    return tables | sparse.tables(times, size, measured.doubtful)


def _extra_costs(measured: Measured, linear: Grid) -> dict[str, float]:
    """Name → seconds that are in no table. linear: the table of linear layers."""
    times = measured.times
    costs = {NEW: measured.fresh_page_s_per_byte}
    costs |= strided_costs(times)
    costs |= measured.compiled_s
    for family, seconds in measured.new_shape_s.items():
        costs[f"{family}.{NEW_SHAPE}"] = seconds
    costs |= matmul.extra_costs(times)
    costs |= grouped_costs(times, linear, measured.residency, measured.itemsize)
    return costs


def _rounded(value: Any) -> Any:
    """The floats in nested dictionaries and lists, to so many DIGITS."""
    if isinstance(value, dict):
        return {name: _rounded(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    return value


def _calibrated(value: float, source: str) -> Quantity:
    return Quantity(value=value, basis="calibrated", source=source)


def _memory(measured: Measured, clone: Curve) -> dict[str, Level]:
    """The caches and the memory.

    Sizes are the operating system's. The bandwidth of a cache is that of the fastest copy that fits
    it, of memory that of a read of 64 MB. clone: seconds of copies, by elements.
    """
    copies = []
    for elements, seconds in zip(clone.sizes, clone.seconds[0], strict=True):
        copied_bytes = 2 * measured.itemsize * elements
        copies.append((copied_bytes, copied_bytes / seconds))
    levels: dict[str, Level] = {}
    for name in ("l1", "l2", "l3"):
        if name not in measured.machine:
            continue
        capacity = float(measured.machine[name])
        rates = [rate for copied_bytes, rate in copies if copied_bytes <= capacity]
        if not rates:
            _, smallest_rate = copies[0]
            rates = [smallest_rate]
        levels[name] = Level(
            bytes=_calibrated(capacity, "sysfs"),
            bandwidth=_calibrated(max(rates), "the fastest clone that fits"),
        )
    ram_bytes = float(_ram_bytes())
    read_bandwidth = READ_BYTES / measured.read_64mb_s
    levels["dram"] = Level(
        bytes=_calibrated(ram_bytes, "the operating system"),
        bandwidth=_calibrated(read_bandwidth, "a sum over 64 MB"),
    )
    return levels


def _ram_bytes() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return DEFAULT_RAM_BYTES


def _host_costs(instruction_s: float, curves: dict[str, Curve]) -> Host:
    """What the host takes for each operator, view and instruction."""
    smallest_s = {name: curve.seconds[0][0] for name, curve in curves.items()}
    dispatch_s = np.median([smallest_s[name] for name in ELEMENTWISE])
    views = [operators.view_name(name) for name in VIEWS]
    view_s = np.median([smallest_s[name] for name in views])
    call_s = INSTRUCTIONS_A_CALL * instruction_s
    elementwise = "median over elementwise operators of 16 elements"
    return Host(
        dispatch=_calibrated(float(dispatch_s), elementwise),
        view=_calibrated(float(view_s), "median over views"),
        module_call=_calibrated(call_s, f"{INSTRUCTIONS_A_CALL} instructions"),
        synchronise=_calibrated(smallest_s["item"], "item() of a tensor on the CPU"),
        instruction=_calibrated(instruction_s, "layers with and without their modules"),
    )


def _power(dtype: str) -> Power:
    """What one core of a server takes: no counter is read, so all of it is estimated."""
    source = "a server socket of 3 to 4 W a core; DRAM at 15 pJ a bit (recalled, unverified)"

    def estimated(value: float) -> Quantity:
        return Quantity(value=value, basis="estimated", source=source)

    return Power(
        idle_w=estimated(1.5),
        limit_w=estimated(8.0),
        j_per_flop={dtype: estimated(2e-11)},
        j_per_byte={"dram": estimated(1.2e-10)},
    )


def _name(threads: int, dtype: str) -> str:
    """The profile's name: the processor, threads, the version of torch, and a dtype but fp32."""
    cpu = re.sub(r"\(.*?\)", "", str(fingerprint()["cpu"])) or platform.machine()
    slug = re.sub(r"[^a-z0-9]+", "-", cpu.lower()).strip("-")
    version = re.sub(r"[^0-9.].*", "", torch.__version__)
    name = f"{slug}-{threads}-thread-torch-{version}"
    return name if dtype == "fp32" else f"{name}-{dtype}"
