"""How well each effect of the CPU's cost model fits what it was not calibrated on.

Fresh micro-benchmarks, and a figure an effect.

    python -m benchmarks.fits [--profile NAME_OR_PATH] [--only EFFECT ...] [--write docs/images]

Needs a calibration of this machine (`condsim calibrate`) and about two minutes of a quiet one. With
--write the measured points go to FOLDER/fits.json, those of other effects in it are kept, and every
effect in it is drawn to FOLDER/fit-EFFECT.svg. --draw FOLDER only draws.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.fit_figures import Chart, Point, draw
from benchmarks.operators import patient, table
from condsim.calibrate.code_locality import calls, cycle, light_operators
from condsim.calibrate.cpu import DTYPES
from condsim.calibrate.evicted_code import EvictedCode
from condsim.calibrate.instructions import count_instructions
from condsim.calibrate.matmul_calls import bmm, convolution, linear
from condsim.calibrate.new_shapes import first_call_extra_s
from condsim.calibrate.residency import visit_in_turn
from condsim.calibrate.shapes import Convolution, Products
from condsim.cost.cpu.activations import activation_curves
from condsim.cost.cpu.new_shapes import new_shape_seconds
from condsim.cost.cpu.residency import Weight, miss_per_byte
from condsim.hardware import Cold, HardwareProfile, hardware
from condsim.timing.cases import Pool, Visits, existing, measure, threads, typical
from condsim.timing.yardstick import Call, Yardstick

MATMULS = ("linear", "linear, few columns", "bmm", "grouped_mm", "attention", "conv2d")


def point(group: str, x: float, predicted: float, measured: float) -> Point:
    return {"group": group, "x": x, "predicted": predicted, "measured": measured}


# Operators


def hot_operators(profile: HardwareProfile) -> list[Point]:
    """Matmuls, convolutions and attention at random sizes, hot. x: measured seconds."""
    return [_ratio(row) for row in _operators(profile) if row["family"] in MATMULS]


def gather(profile: HardwareProfile) -> list[Point]:
    """All other operators at random sizes, hot. x: measured seconds.

    They are elementwise ones, gather and scatter, softmax, normalisation and reductions.
    """
    return [_ratio(row) for row in _operators(profile) if row["family"] not in MATMULS]


_TABLES: dict[str, list[dict[str, Any]]] = {}
"""Measured operators by the profile's name: two effects show them."""


def _operators(profile: HardwareProfile) -> list[dict[str, Any]]:
    if profile.name not in _TABLES:
        _TABLES[profile.name] = table(profile, 7, 10)
    return _TABLES[profile.name]


def _ratio(row: dict[str, Any]) -> Point:
    return point(row["family"], row["measured_s"], row["predicted_s"], row["measured_s"])


# Weights and activations that were evicted

FOOTPRINTS_MB = (2, 3, 5, 7, 10, 14, 18, 22, 26, 30, 36, 44, 56, 80)
ROUNDS_IN_TURN = 5


def residency(profile: HardwareProfile) -> list[Point]:
    """Linear layers of other sizes than the calibration's, visited in turn, with 1 and 32 rows.

    x: bytes between two visits; seconds a byte of the weight.
    """
    table = profile.residency
    assert table is not None
    yardstick = patient()
    points = []
    for n, k, rows in ((160, 320, 1), (768, 1280, 1), (768, 1280, 32)):
        weight_bytes = 4 * n * k
        weight = Weight(weight_bytes, 4 * k, rows)
        group = f"{weight_bytes / 2**20:.1f} MiB, {rows} row{'s' if rows > 1 else ''}"
        make = partial(_layer, torch.randn(rows, k), n, k)
        hot_s, in_turn = _in_turn(make, weight_bytes, yardstick)
        for count, seconds in in_turn.items():
            distance = count * weight_bytes
            by_others = table.others * count * seconds
            predicted = float(miss_per_byte(table, weight, distance + by_others))
            measured = (seconds - hot_s) / weight_bytes
            points.append(point(group, distance, predicted, measured))
    return points


def _layer(x: torch.Tensor, n: int, k: int) -> Call:
    """A linear layer with a weight of its own."""
    return partial(F.linear, x, torch.randn(n, k))


def _in_turn(
    make: Callable[[], Call], size_bytes: float, yardstick: Yardstick
) -> tuple[float, dict[int, float]]:
    """(seconds of a call alone, number of calls in turn → seconds of each).

    make: a call on memory of its own. size_bytes: of that memory.
    """
    counts = sorted({max(2, round(mb * 1e6 / size_bytes)) for mb in FOOTPRINTS_MB})
    made = [make() for _ in range(counts[-1])]
    visits_of: dict[int, Visits] = {count: [] for count in (1, *counts)}
    for _ in range(ROUNDS_IN_TURN):
        for count, visits in visits_of.items():
            visit = partial(visit_in_turn, made[:count], int(size_bytes))
            visits.append(yardstick.around(visit))
    hot_s, *in_turn_s = (typical(visits, yardstick) for visits in visits_of.values())
    return hot_s, dict(zip(counts, in_turn_s, strict=True))


def activations(profile: HardwareProfile) -> list[Point]:
    """Operators of other sizes than the calibration's blocks, on sets of tensors in turn.

    x: bytes between two visits; extra seconds a byte that is touched.
    """
    curves = activation_curves(profile)
    assert curves is not None
    yardstick = patient()
    points = []
    for elements, (name, visited) in itertools.product((16384, 131072), VISITED.items()):
        tensors = visited.read + visited.written
        size_bytes = 4.0 * elements * tensors
        group = f"{name}, {size_bytes / 2**20:.1f} MiB"
        make = partial(_on_new_tensors, visited.call, elements)
        hot_s, in_turn = _in_turn(make, size_bytes, yardstick)
        for count, seconds in in_turn.items():
            distance = count * size_bytes
            extra = 0.0
            for share, curve in ((visited.read, curves.read), (visited.written, curves.written)):
                far = np.interp(distance, curves.distance, curve)
                near = np.interp(size_bytes, curves.distance, curve)
                extra += share * float(far - near)
            measured = (seconds - hot_s) / size_bytes
            points.append(point(group, distance, extra / tensors, measured))
    return points


def _on_new_tensors(call: Callable[..., object], elements: int) -> Call:
    """A call on two operands and a result of its own."""
    return partial(call, *torch.ones(3, elements).unbind())


@dataclass(frozen=True)
class Visited:
    """A call of (two operands, result), and how many of these tensors it reads and writes."""

    call: Callable[..., object]
    read: int
    written: int


VISITED = {
    "relu": Visited(lambda x, _y, out: torch.clamp_min(x, 0.0, out=out), 1, 1),
    "add": Visited(lambda x, y, out: torch.add(x, y, out=out), 2, 1),
}


# Code


def among(profile: HardwareProfile) -> list[Point]:
    """A few operators in turn, drawn anew.

    x: how many different; seconds that a call takes longer than alone.
    """
    table = profile.among
    assert table is not None
    yardstick = patient()
    rng = random.Random(77)
    every = calls(Pool())
    points = []
    for distinct in (2, 3, 5, 7, 10, 14, 20, 28, 40, 56):
        share = float(np.interp(distinct, table.distinct, table.share))
        for _ in range(3):
            names = rng.sample(light_operators(), distinct)
            drawn = {name: every[name] for name in names}
            alone_s = measure(existing(drawn), 2, yardstick=yardstick)
            in_turn_s = cycle(drawn, yardstick)
            predicted = share * sum(table.extra_s[name] for name in names) / distinct
            measured = sum(in_turn_s[name] - alone_s[name] for name in names) / distinct
            points.append(point("a draw", distinct, predicted, measured))
    return points


DISTANCES_MB = (1.0, 4.0, 8.0, 12.0)


def cold_code(profile: HardwareProfile) -> list[Point]:
    """All operators after other data of sizes between the calibrated ones.

    x: bytes; seconds that a call takes longer, of four groups of operators.
    """
    known = profile.cold
    assert known is not None
    timings = EvictedCode(Pool(), DISTANCES_MB, (), patient())
    for _ in range(3):
        timings.round()
    fresh = timings.table()
    points = []
    for i, megabytes in enumerate(DISTANCES_MB):
        distance = megabytes * 1e6
        distances = [0.0, *known.distance]
        share = float(np.interp(distance, distances, [0.0, *known.share]))
        shared_s = float(np.interp(distance, distances, [0.0, *known.shared_s]))
        for group, names in _quarters(known).items():
            known_s = float(np.mean([known.own_s[name] for name in names]))
            fresh_s = float(np.mean([fresh.own_s[name] for name in names]))
            predicted = shared_s + share * known_s
            measured = fresh.shared_s[i] + fresh.share[i] * fresh_s
            points.append(point(group, distance, predicted, measured))
    return points


def _quarters(known: Cold) -> dict[str, list[str]]:
    """The operators in four groups, by what their own code costs."""
    order = sorted(known.own_s, key=lambda name: known.own_s[name])
    quarters = {}
    for i, which in enumerate(("first", "second", "third", "last")):
        begin, end = i * len(order) // 4, (i + 1) * len(order) // 4
        quarters[f"{which} quarter by cost"] = order[begin:end]
    return quarters


# First calls

WIDTHS = (16, 48, 96, 192)
NEW_SIZES = range(73, 53, -2)


def new_shapes(profile: HardwareProfile) -> list[Point]:
    """First calls of products of other widths than the calibrated ones, at sizes never run.

    x: width; seconds beyond the next call.
    """
    pool = Pool(DTYPES[profile.dtype])
    points = []
    for family, make in FIRST_CALLS.items():
        for width in WIDTHS:
            extra_s = first_call_extra_s(partial(make, width), pool, NEW_SIZES)
            predicted = new_shape_seconds(family, profile)
            points.append(point(family, width, predicted, median(extra_s)))
    return points


def _linear_call(width: int, pool: Pool, rows: int) -> Call:
    return linear(pool, rows, 2 * width, width)


def _bmm_call(width: int, pool: Pool, side: int) -> Call:
    return bmm(pool, Products(8, side, side, width))


def _convolution_call(width: int, pool: Pool, batch: int) -> Call:
    return convolution(pool, Convolution(batch, width, width, side=5, kernel=3, stride=1))


FIRST_CALLS: dict[str, Callable[[int, Pool, int], Call]] = {
    "linear": _linear_call,
    "bmm": _bmm_call,
    "conv2d": _convolution_call,
}
"""Family → (width, pool, size) → the call of a product."""


# Python


class _Block(nn.Module):
    """Modules in modules, as models have them, around so many linear layers."""

    def __init__(self, layers: int, depth: int) -> None:
        super().__init__()
        stack: nn.Module = nn.ModuleList(nn.Linear(16, 16) for _ in range(layers))
        self.items = stack
        self.outer = nn.Sequential(*(nn.Identity() for _ in range(depth)))
        self.scale, self.eps, self.flag = 0.5, 1e-6, True

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        for i, layer in enumerate(self.items):  # type: ignore[arg-type]
            if self.flag and i >= 0 and self.eps < self.scale:
                h = layer(self.outer(h))
        return h


def instructions(profile: HardwareProfile) -> list[Point]:
    """Stacks of modules around linear layers, against the same operators called one by one.

    x: instructions; seconds.
    """
    instruction = profile.host.instruction
    assert instruction is not None
    h = torch.randn(4, 16)
    ways: dict[tuple[int, int, str], Call] = {}
    stacks = list(itertools.product((1, 2, 4), (0, 1, 2, 4)))
    for layers, depth in stacks:
        block = _Block(layers, depth).eval()
        pairs = [(layer.weight, layer.bias) for layer in block.items]  # type: ignore[union-attr]
        ways[layers, depth, "modules"] = partial(block, h)
        ways[layers, depth, "bare"] = partial(_bare, pairs, h)
    counts = {key: count_instructions(call) for key, call in ways.items()}
    seconds = measure(existing(ways), 9, yardstick=patient())
    points = []
    for layers, depth in stacks:
        modules, bare = (layers, depth, "modules"), (layers, depth, "bare")
        group = f"{layers} linear layer{'s' if layers > 1 else ''}"
        more = counts[modules] - counts[bare]
        measured = seconds[modules] - seconds[bare]
        points.append(point(group, more, more * instruction.value, measured))
    return points


def _bare(pairs: list[tuple[torch.Tensor, torch.Tensor]], h: torch.Tensor) -> torch.Tensor:
    for w, b in pairs:
        h = F.linear(h, w, b)
    return h


@dataclass(frozen=True)
class Effect:
    """How an effect is measured, and how it is drawn."""

    points: Callable[[HardwareProfile], list[Point]]
    chart: Chart


RATIO = Chart("measured (s)", "predicted / measured", ratio=True)
BY_DISTANCE = Chart("bytes between two visits (MB)", "extra (ps a byte)", 1e-6, 1e12)
BY_WIDTH = Chart("width", "extra of a first call (µs)", y_scale=1e6)
BY_DISTINCT = Chart("different operators in turn", "extra a call (µs)", y_scale=1e6)
BY_BYTES_READ = Chart("bytes read before each call (MB)", "extra a call (µs)", 1e-6, 1e6)
BY_INSTRUCTIONS = Chart("instructions", "extra (µs)", y_scale=1e6)
EFFECTS = {
    "hot-operators": Effect(hot_operators, RATIO),
    "gather": Effect(gather, RATIO),
    "residency": Effect(residency, BY_DISTANCE),
    "activations": Effect(activations, BY_DISTANCE),
    "new-shapes": Effect(new_shapes, BY_WIDTH),
    "among": Effect(among, BY_DISTINCT),
    "cold-code": Effect(cold_code, BY_BYTES_READ),
    "instructions": Effect(instructions, BY_INSTRUCTIONS),
}


def spread(points: Sequence[Point]) -> dict[str, float]:
    """Median and 90th percentile of |predicted - measured|, relative.

    Relative to what was measured where an operator is predicted whole, else to the mean measured of
    the effect.
    """
    whole = all(p["x"] == p["measured"] for p in points)
    mean = float(np.mean([p["measured"] for p in points]))
    errors = []
    for p in points:
        scale = p["measured"] if whole else mean
        errors.append(abs(p["predicted"] - p["measured"]) / scale)
    p90 = float(np.quantile(errors, 0.9))
    return {"points": len(points), "median": median(errors), "p90": p90}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--profile", default="this-machine")
    parser.add_argument("--only", nargs="*", default=list(EFFECTS), choices=list(EFFECTS))
    parser.add_argument("--write", type=Path)
    parser.add_argument("--draw", type=Path)
    args = parser.parse_args()
    folder: Path | None = args.write or args.draw
    fits: dict[str, Any] = {}
    if folder and (folder / "fits.json").exists():
        fits = json.loads((folder / "fits.json").read_text())
    if args.draw is None:
        profile = hardware(args.profile)
        for name in args.only:
            with threads(profile.threads):
                points = EFFECTS[name].points(profile)
            fits[name] = {"profile": profile.name, "points": points}
    for name, fit in fits.items():
        errors = spread(fit["points"])
        print(
            f"{name:14} {errors['points']:4} points  "
            f"median |error| {errors['median']:.1%}  90th percentile {errors['p90']:.1%}"
        )
    if args.write:
        text = json.dumps(fits, separators=(",", ":"), default=float)
        (args.write / "fits.json").write_text(text)
    if folder:
        for name, fit in fits.items():
            svg = draw(EFFECTS[name].chart, fit["points"], fit["profile"])
            (folder / f"fit-{name}.svg").write_bytes(svg)


if __name__ == "__main__":
    main()
