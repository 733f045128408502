"""Measuring the machine this runs on: micro-benchmarks only, never a model that is to be predicted."""

from __future__ import annotations

import platform
import re
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch

from condsim.calibrate import matmul, operators, shapes
from condsim.calibrate.activations import DistantActivations
from condsim.calibrate.code_locality import AmongOthers
from condsim.calibrate.compiled_graphs import compiled_costs
from condsim.calibrate.evicted_code import DISTANCES_MB, AfterOtherData
from condsim.calibrate.instructions import instruction_s
from condsim.calibrate.matmul import Cases
from condsim.calibrate.new_memory import FILLED, fresh_page_seconds
from condsim.calibrate.new_shapes import new_shape_costs
from condsim.calibrate.residency import FOOTPRINTS_MB, EvictedWeights
from condsim.cost.cpu.compiled_graphs import COMPILED
from condsim.cost.cpu.new_memory import NEW
from condsim.cost.cpu.new_shapes import NEW_SHAPE
from condsim.cost.cpu.residency import miss_per_byte
from condsim.errors import unknown
from condsim.hardware import (
    FORMAT,
    Curve,
    Grid,
    HardwareProfile,
    Host,
    Level,
    Power,
    Quantity,
    Scatter,
    cache_folder,
    fingerprint,
    this_machine,
)
from condsim.timing.cases import (
    Pool,
    Progress,
    between_neighbours,
    measure,
    sample,
    threads,
    yardsticks,
)
from condsim.timing.yardstick import Yardstick

__all__ = ["calibrate"]


def calibrate(
    full: bool = False,
    threads: int = 1,
    dtype: str = "fp32",
    compiled: bool = False,
    progress: Progress | None = None,
    save: bool = True,
    size: shapes.Size | None = None,
    cases: Cases | None = None,
    timed: dict[Any, float] | None = None,
    between: Between | None = None,
) -> HardwareProfile:
    """The profile of this machine, eager PyTorch, in about a minute (full: several; a dtype that the processor has no instructions for: several).

    threads: of PyTorch. dtype: "fp32" or "bf16", of weights and activations.
    compiled: also what torch.compile costs (it needs a C++ compiler); False keeps what an earlier calibration found.
    progress: called with (what is measured, share done).
    save: keep it in the user's cache, where `hardware("this-machine")` finds it. size: a reduced or a larger set of sizes.
    cases: others to time in the same rounds; their seconds are put into `timed`, and into nothing else.
    between: called after each round but the last with (its number, seconds of the yardstick when nothing disturbs it): for what is to be measured while
    neighbours do what this calibration sees of them. The machine should be idle; visits that a yardstick finds disturbed do not count.
    Raises CondsimError for another dtype.
    """
    if dtype not in DTYPES:
        raise unknown("dtype", dtype, DTYPES, "what this machine can be calibrated in")
    size = size or (shapes.FULL if full else shapes.NORMAL)
    with _threads(threads):
        profile = _calibrated(
            size,
            threads,
            dtype,
            compiled,
            progress or (lambda _what, _share: None),
            cases,
            timed,
            between,
        )
    if save:
        before = this_machine(threads, dtype)
        graphs = {
            k: v for k, v in (before.extra_s if before else {}).items() if k.startswith(COMPILED)
        }
        profile = profile.model_copy(update={"extra_s": {**graphs, **profile.extra_s}})
        profile.save(cache_folder() / f"{profile.name}.yaml")
    return profile


_threads = threads
Between = Callable[[int, float], None]
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
READINGS = 4000  # to begin with: half a second


def _calibrated(
    size: shapes.Size,
    threads: int,
    dtype: str,
    compiled: bool,
    progress: Progress,
    cases: Cases | None = None,
    timed: dict[Any, float] | None = None,
    between: Between | None = None,
) -> HardwareProfile:
    pool = Pool(DTYPES[dtype])
    own = fingerprint(threads)
    yardstick = Yardstick(READINGS)
    few = size.points < 0.5

    footprints = (0.4, 4.0) if few else FOOTPRINTS_MB
    weights, activations = (
        EvictedWeights(footprints, yardstick, pool.dtype),
        DistantActivations(footprints, yardstick),
    )
    among, cold = (
        AmongOthers(pool, 12 if few else 100, yardstick),
        AfterOtherData(pool, (1.0, 8.0) if few else DISTANCES_MB, yardstick),
    )
    everything = {
        **operators.cases(pool, size),
        **matmul.cases(pool, size),
        **{("case", *key): make for key, make in (cases or {}).items()},
    }
    times: dict[Any, float] = {}
    doubtful: set[Any] = set()
    for i in range(size.rounds):  # neighbours change by the minute
        yardstick.patience_s += 0.9 * size.patience_s / size.rounds
        for what, one in (
            ("evicted weights", weights),
            ("distant activations", activations),
            ("among others", among),
            ("after other data", cold),
        ):
            progress(what, i / size.rounds)
            one.round()
        part = dict(list(everything.items())[i :: size.rounds])
        times |= measure(
            part, size.visits, partial(_part, progress, i, size.rounds), yardstick, doubtful
        )
        if between is not None and i + 1 < size.rounds:
            yardstick.let_go()
            between(i, yardstick.fast_s)
    progress("Python", 0.0)
    yardstick.patience_s += 0.1 * size.patience_s
    instruction = instruction_s(yardstick)
    of_graphs = compiled_costs(pool, yardstick) if compiled else {}
    kept = weights.curves(int(own.get("l2", 2**19)))
    times = between_neighbours(times, doubtful)
    if timed is not None:
        timed.update({key[1:]: t for key, t in times.items() if key[0] == "case"})
    yard = {
        name: min(sample(call) for _ in range(5))
        for name, call in yardsticks(pool if dtype == "fp32" else Pool()).items()
    }

    linear = matmul.grid(times, "linear", size.rows, size.columns, size.depths, size.flops)
    mm = matmul.grid(times, "mm", size.mm_rows, size.mm_columns, size.mm_depths, size.flops)
    tables: dict[str, Grid | Scatter] = {
        "linear": linear,
        "mm": mm,
        **{family: matmul.scatter(times, family, size, doubtful) for family in matmul.DIMS},
    }
    curves = {**operators.curves(times, size), "linear.bias": matmul.bias_curve(times)}
    extra = {
        NEW: fresh_page_seconds(elements=2**24 if few else FILLED),
        **operators.strided_costs(times),
        **of_graphs,
        **{f"{family}.{NEW_SHAPE}": cost for family, cost in new_shape_costs(pool).items()},
        "linear.deep": max(times["deep",] - times["flat",], 0.0),
        "matmul.extra": max(times["matmul_tiny",] - times["bmm_tiny",], 0.0),
        **matmul.grouped_costs(
            times, linear, lambda b, d, m: float(miss_per_byte(kept, b, d, m)) * b, pool.itemsize
        ),
    }
    peak = max(
        2 * key[1] * key[2] * key[3] / t
        for key, t in times.items()
        if key[0] == "linear" and len(key) == 4
    )
    profile = HardwareProfile(
        name=_name(threads, dtype),
        kind="cpu",
        description=f"{own['cpu']}, {threads} thread{'s' if threads > 1 else ''}, eager {dtype}, calibrated here",
        dtype=dtype,
        runtime="eager",
        threads=threads,
        fingerprint=own,
        yardstick_s=yardstick.fast_s,
        peak_flops={dtype: _measured(peak, "the fastest linear layer that was timed")},
        matmul_efficiency=_measured(1.0, "peak_flops is a measured matmul"),
        memory=_memory(own, curves, yard, pool.itemsize),
        host=_host_costs(instruction, curves),
        power=_power(dtype),
        format=FORMAT,
        operators=curves,
        matmuls=tables,
        extra_s=extra,
        residency=kept,
        activations=activations.table(),
        among=among.table(),
        cold=cold.table(),
    )
    return HardwareProfile.model_validate(_rounded(profile.model_dump()))


def _part(progress: Progress, part: int, parts: int, share: float) -> None:
    progress("operators and matmuls", (part + share) / parts)


def _rounded(value: Any) -> Any:
    """Measured numbers to five digits, which is more than they are worth."""
    if isinstance(value, dict):
        return {k: _rounded(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_rounded(v) for v in value]
    return float(f"{value:.5g}") if isinstance(value, float) else value


def _measured(value: float, source: str) -> Quantity:
    return Quantity(value=value, basis="calibrated", source=source)


def _memory(
    own: dict[str, str | int], curves: dict[str, Curve], yard: dict[str, float], itemsize: int
) -> dict[str, Level]:
    """Caches from the operating system, their bandwidth from a copy that fits them, memory from a read of 64 MB."""
    clone = curves["clone"]
    rates = [2 * itemsize * e / t for e, t in zip(clone.sizes, clone.seconds[0], strict=True)]
    found: dict[str, Level] = {}
    for level in ("l1", "l2", "l3"):
        if level in own:
            capacity = float(own[level])
            fits = [
                r for e, r in zip(clone.sizes, rates, strict=True) if 2 * itemsize * e <= capacity
            ] or rates[:1]
            found[level] = Level(
                bytes=_measured(capacity, "sysfs"),
                bandwidth=_measured(max(fits), "the fastest clone that fits"),
            )
    found["dram"] = Level(
        bytes=_measured(float(_ram()), "the operating system"),
        bandwidth=_measured(64e6 / yard["read_64mb"], "a sum over 64 MB"),
    )
    return found


def _ram() -> int:
    import os

    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return 8 * 2**30


INSTRUCTIONS_A_CALL = 60
"""Of a module's call, before its forward (CPython 3.11, no hooks)."""


def _host_costs(instruction: float, curves: dict[str, Curve]) -> Host:
    dispatch = [c.seconds[0][0] for name, c in curves.items() if name in operators.ELEMENTWISE]
    views = [curves[f"{name}.view"].seconds[0][0] for name in operators.VIEWS]
    return Host(
        dispatch=_measured(
            float(np.median(dispatch)), "median over elementwise operators of 16 elements"
        ),
        view=_measured(float(np.median(views)), "median over views"),
        module_call=_measured(
            INSTRUCTIONS_A_CALL * instruction, f"{INSTRUCTIONS_A_CALL} instructions"
        ),
        synchronise=_measured(curves["item"].seconds[0][0], "item() of a tensor on the CPU"),
        instruction=_measured(instruction, "layers with and without their modules"),
    )


def _power(dtype: str) -> Power:
    """A server core's share: no counter is read, so all of it is estimated."""
    source = "a server socket of 3 to 4 W a core; DRAM at 15 pJ a bit (recalled, unverified)"

    def guess(value: float) -> Quantity:
        return Quantity(value=value, basis="estimated", source=source)

    return Power(
        idle_w=guess(1.5),
        limit_w=guess(8.0),
        j_per_flop={dtype: guess(2e-11)},
        j_per_byte={"dram": guess(1.2e-10)},
    )


def _name(threads: int, dtype: str) -> str:
    model = re.sub(r"\(.*?\)", "", str(fingerprint()["cpu"])) or platform.machine()
    slug = re.sub(r"[^a-z0-9]+", "-", model.lower()).strip("-")
    version = re.sub(r"[^0-9.].*", "", torch.__version__)
    return f"{slug}-{threads}-thread-torch-{version}" + ("" if dtype == "fp32" else f"-{dtype}")
