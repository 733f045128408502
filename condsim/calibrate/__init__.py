"""Measuring the machine this runs on: micro-benchmarks only, never a model that is to be predicted."""

from __future__ import annotations

import platform
import re
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

from condsim.calibrate import matmul, operators, shapes
from condsim.calibrate.residency import FOOTPRINTS_MB, residency
from condsim.calibrate.timing import Pool, Progress, measure, sample, threads, yardsticks
from condsim.hardware import Curve, Grid, HardwareProfile, Host, Level, Power, Quantity, Scatter, cache_folder, fingerprint

__all__ = ["calibrate"]


def calibrate(
    full: bool = False, threads: int = 1, progress: Progress | None = None, save: bool = True, size: shapes.Size | None = None
) -> HardwareProfile:
    """The profile of this machine: fp32, eager PyTorch, in about a minute (full: several).

    threads: of PyTorch. progress: called with (what is measured, share done). save: keep it in the user's cache, where `hardware("this-machine")` finds it.
    size: a reduced or a larger set of sizes. The machine should be idle; times are medians over interleaved rounds.
    """
    size = size or (shapes.FULL if full else shapes.NORMAL)
    with _threads(threads):
        profile = _calibrated(size, threads, progress or (lambda _what, _share: None))
    if save:
        profile.save(cache_folder() / f"{profile.name}.yaml")
    return profile


_threads = threads


def _calibrated(size: shapes.Size, threads: int, progress: Progress) -> HardwareProfile:
    pool = Pool()
    own = fingerprint(threads)
    run = partial(measure, rounds=size.rounds)
    ops = run(operators.cases(pool, size), progress=partial(progress, "operators"))
    mats = run(matmul.cases(pool, size), progress=partial(progress, "matmuls"))
    host = _host(size.rounds)
    few = size.points < 0.5
    kept = residency(2 if few else size.rounds, (0.4, 4.0) if few else FOOTPRINTS_MB, int(own.get("l2", 2**19)), partial(progress, "residency"))
    yard = {name: min(sample(call) for _ in range(5)) for name, call in yardsticks(pool).items()}

    linear = matmul.grid(mats, "linear", size.rows, size.columns, size.depths, size.flops)
    tables: dict[str, Grid | Scatter] = {
        "linear": linear,
        "mm": matmul.grid(mats, "mm", shapes.MM_ROWS, shapes.MM_COLUMNS, shapes.MM_DEPTHS, size.flops),
        **{family: matmul.scatter(mats, family, size) for family in matmul.DIMS},
    }
    curves = {**operators.curves(ops, size), "linear.bias": matmul.bias_curve(mats)}
    extra = {
        "linear.deep": max(mats["deep",] - mats["flat",], 0.0),
        "matmul.extra": max(mats["matmul_tiny",] - mats["bmm_tiny",], 0.0),
        **matmul.grouped_costs(mats, linear),
    }
    peak = max(2 * m * n * k / t for (f, *at), t in ((key, t) for key, t in mats.items() if key[0] == "linear" and len(key) == 4) for m, n, k in [at])
    return HardwareProfile(
        name=_name(threads),
        kind="cpu",
        description=f"{own['cpu']}, {threads} thread{'s' if threads > 1 else ''}, eager fp32, calibrated here",
        dtype="fp32",
        runtime="eager",
        threads=threads,
        fingerprint=own,
        peak_flops={"fp32": _measured(peak, "the fastest linear layer that was timed")},
        matmul_efficiency=_measured(1.0, "peak_flops is a measured matmul"),
        memory=_memory(own, curves, yard),
        host=_host_costs(host, curves),
        power=_power(),
        operators=curves,
        matmuls=tables,
        extra_s=extra,
        residency=kept,
    )


def _measured(value: float, source: str) -> Quantity:
    return Quantity(value=value, basis="calibrated", source=source)


def _memory(own: dict[str, str | int], curves: dict[str, Curve], yard: dict[str, float]) -> dict[str, Level]:
    """Caches from the operating system, their bandwidth from a copy that fits them, memory from a read of 64 MB."""
    clone = curves["clone"]
    rates = [8 * e / t for e, t in zip(clone.sizes, clone.seconds[0], strict=True)]
    found = {}
    for level in ("l1", "l2", "l3"):
        if level in own:
            capacity = float(own[level])
            fits = [r for e, r in zip(clone.sizes, rates, strict=True) if 8 * e <= capacity] or rates[:1]
            found[level] = Level(bytes=_measured(capacity, "sysfs"), bandwidth=_measured(max(fits), "the fastest clone that fits"))
    found["dram"] = Level(bytes=_measured(float(_ram()), "the operating system"), bandwidth=_measured(64e6 / yard["read_64mb"], "a sum over 64 MB"))
    return found


def _ram() -> int:
    import os

    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return 8 * 2**30


class _Empty(nn.Module):
    def forward(self, x: Any) -> Any:
        return x


def _host(rounds: int) -> dict[str, float]:
    """Seconds of a module call, and by how much operators of many kinds in turn take longer than each alone (a factor)."""
    module, x = _Empty(), torch.ones(1)
    direct, called = [], []
    for _ in range(max(rounds, 3)):
        direct.append(sample(partial(module.forward, x)))
        called.append(sample(partial(module, x)))
    a, b, w = torch.ones(4, 64), torch.ones(4, 64), torch.ones(64, 64)
    index = torch.tensor([3, 1, 2, 0])
    calls = [
        partial(torch.add, a, b), partial(torch.softmax, a, -1), partial(nn.functional.linear, a, w), partial(a.index_select, 0, index),
        partial(torch.mul, a, b), partial(torch.sum, a, -1), partial(nn.functional.silu, a), partial(a.transpose, 0, 1), partial(torch.cat, (a, b), -1),
        partial(torch.topk, a, 2), partial(nn.functional.layer_norm, a, (64,)), partial(torch.where, a > 0, a, b), partial(a.unsqueeze, 0), partial(torch.sigmoid, a),
        partial(torch.rsqrt, a), partial(a.mean, -1), partial(torch.neg, a), partial(a.view, 2, 128), partial(torch.sort, index), partial(torch.cos, a),
    ]  # fmt: skip

    def mixed() -> None:
        for call in calls:
            call()

    factors = [sample(mixed) / sum(sample(call) for call in calls) for _ in range(max(rounds, 3))]
    return {"module_call": max(float(np.median(called) - np.median(direct)), 1e-8), "mixing": max(float(np.median(factors)), 1.0)}


def _host_costs(host: dict[str, float], curves: dict[str, Curve]) -> Host:
    dispatch = [c.seconds[0][0] for name, c in curves.items() if name in operators.ELEMENTWISE]
    views = [curves[f"{name}.view"].seconds[0][0] for name in operators.VIEWS]
    return Host(
        dispatch=_measured(float(np.median(dispatch)), "median over elementwise operators of 16 elements"),
        view=_measured(float(np.median(views)), "median over views"),
        module_call=_measured(host["module_call"], "an empty module's call"),
        synchronise=_measured(curves["item"].seconds[0][0], "item() of a tensor on the CPU"),
        mixing=_measured(host["mixing"], "20 operators in turn over the sum of each alone"),
    )


def _power() -> Power:
    """A server core's share: no counter is read, so all of it is estimated."""
    source = "a server socket of 3 to 4 W a core; DRAM at 15 pJ a bit (recalled, unverified)"

    def guess(value: float) -> Quantity:
        return Quantity(value=value, basis="estimated", source=source)

    return Power(idle_w=guess(1.5), limit_w=guess(8.0), j_per_flop={"fp32": guess(2e-11)}, j_per_byte={"dram": guess(1.2e-10)})


def _name(threads: int) -> str:
    model = re.sub(r"\(.*?\)", "", str(fingerprint()["cpu"])) or platform.machine()
    slug = re.sub(r"[^a-z0-9]+", "-", model.lower()).strip("-")
    version = re.sub(r"[^0-9.].*", "", torch.__version__)
    return f"{slug}-{threads}-thread-torch-{version}"
