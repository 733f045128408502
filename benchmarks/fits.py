"""How well each effect of the CPU's cost model fits what it was not calibrated on: fresh micro-benchmarks, and a figure an effect.

    python -m benchmarks.fits [--profile NAME_OR_PATH] [--only EFFECT ...] [--write docs/images]

Needs a calibration of this machine (`condsim calibrate`) and about two minutes of a quiet one. With --write the measured points go to FOLDER/fits.json,
those of other effects in it are kept, and every effect in it is drawn to FOLDER/fit-EFFECT.svg. --draw FOLDER only draws.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.operators import patient, table
from condsim.calibrate import DTYPES
from condsim.calibrate.code_locality import _LIGHT, calls, cycle
from condsim.calibrate.evicted_code import AfterOtherData
from condsim.calibrate.instructions import _instructions
from condsim.calibrate.matmul import bmm, conv, plain
from condsim.calibrate.new_shapes import beyond
from condsim.calibrate.residency import visit_in_turn
from condsim.cost.cpu.activations import curves_of
from condsim.cost.cpu.new_shapes import new_shape_seconds
from condsim.cost.cpu.residency import miss_per_byte
from condsim.files import write_whole
from condsim.hardware import HardwareProfile, hardware
from condsim.show.plots import rendered
from condsim.timing.cases import Pool, itself, measure, threads, typical
from condsim.timing.yardstick import Call, Yardstick

Points = list[dict[str, Any]]
"""group, x, predicted, measured: what an effect costs at x, in the unit of its axis."""
MATMULS = ("linear", "linear, few columns", "bmm", "grouped_mm", "attention", "conv2d")
COLOURS = (
    "#4c8bd6",
    "#e08030",
    "#3ca35c",
    "#d05060",
    "#9070d0",
    "#a07850",
    "#d070b0",
    "#40a0a8",
    "#909020",
)
GREY = "#808080"  # reads on white and on black


def hot_operators(profile: HardwareProfile) -> Points:
    """Matmuls, convolutions and attention at random sizes, hot. x: measured seconds."""
    return [_ratio(r) for r in _operators(profile) if r["family"] in MATMULS]


def gather(profile: HardwareProfile) -> Points:
    """Elementwise operators, gather and scatter, softmax, normalisation, reductions at random sizes, hot. x: measured seconds."""
    return [_ratio(r) for r in _operators(profile) if r["family"] not in MATMULS]


_TABLES: dict[int, list[dict[str, Any]]] = {}


def _operators(profile: HardwareProfile) -> list[dict[str, Any]]:
    if id(profile) not in _TABLES:
        _TABLES[id(profile)] = table(profile, 7, 10)
    return _TABLES[id(profile)]


def _ratio(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "group": row["family"],
        "x": row["measured_s"],
        "predicted": row["predicted_s"],
        "measured": row["measured_s"],
    }


def residency(profile: HardwareProfile) -> Points:
    """Linear layers of other sizes than the calibration's, with 1 and 32 rows, visited in turn. x: bytes between two visits; seconds a byte of the weight."""
    assert profile.residency is not None
    yardstick, found = patient(), list[dict[str, Any]]()
    for n, k, rows in ((160, 320, 1), (768, 1280, 1), (768, 1280, 32)):
        size = 4 * n * k
        x = torch.randn(rows, k)
        hot, each = _in_turn(lambda: partial(F.linear, x, torch.randn(n, k)), size, yardstick)  # noqa: B023 (called at once)
        for c, seconds in each.items():
            others = profile.residency.others * c * seconds
            predicted = float(miss_per_byte(profile.residency, size, c * size + others, rows))
            found.append(
                {
                    "group": f"{size / 2**20:.1f} MiB, {rows} row{'s' if rows > 1 else ''}",
                    "x": c * size,
                    "predicted": predicted,
                    "measured": (seconds - hot) / size,
                }
            )
    return found


FOOTPRINTS_MB = (2, 3, 5, 7, 10, 14, 18, 22, 26, 30, 36, 44, 56, 80)


def _in_turn(
    make: Callable[[], Call], size: float, yardstick: Yardstick
) -> tuple[float, dict[int, float]]:
    """(seconds of a call alone, number of calls in turn → seconds of each). make: a call on memory of its own, size bytes of it."""
    counts = sorted({max(2, round(mb * 1e6 / size)) for mb in FOOTPRINTS_MB})
    every = [make() for _ in range(counts[-1])]
    seen: dict[int, list[tuple[float, float]]] = {c: [] for c in (1, *counts)}
    for _ in range(5):
        for c in seen:
            before = yardstick.begin()
            t = visit_in_turn(every[:c], int(size))
            seen[c].append((t, max(before, yardstick())))
    hot, *each = (typical(visits, yardstick) for visits in seen.values())
    return hot, dict(zip(counts, each, strict=True))


def activations(profile: HardwareProfile) -> Points:
    """Operators of other sizes than the calibration's blocks, on sets of tensors in turn. x: bytes between two visits; extra seconds a byte that is touched."""
    curves = curves_of(profile)
    assert curves is not None
    yardstick, found = patient(), list[dict[str, Any]]()
    for elements, (name, (call, read, written)) in itertools.product(
        (16384, 131072), VISITED.items()
    ):
        size = 4.0 * elements * (read + written)
        hot, each = _in_turn(
            lambda: partial(call, *torch.ones(3, elements).unbind()), size, yardstick
        )
        for c, seconds in each.items():
            extra = sum(
                share
                * (
                    np.interp(c * size, curves.distance, curve)
                    - np.interp(size, curves.distance, curve)
                )
                for share, curve in ((read, curves.read), (written, curves.written))
            )
            found.append(
                {
                    "group": f"{name}, {size / 2**20:.1f} MiB",
                    "x": c * size,
                    "predicted": float(extra) / (read + written),
                    "measured": (seconds - hot) / size,
                }
            )
    return found


VISITED: dict[str, tuple[Callable[..., object], int, int]] = {
    "relu": (lambda x, _y, out: torch.clamp_min(x, 0.0, out=out), 1, 1),
    "add": (lambda x, y, out: torch.add(x, y, out=out), 2, 1),
}
"""Name → call of (two operands, result), how many it reads, how many it writes."""


def among(profile: HardwareProfile) -> Points:
    """A few operators in turn, drawn anew. x: how many different; seconds that a call takes longer than alone."""
    table_ = profile.among
    assert table_ is not None
    yardstick, found, rng = patient(), list[dict[str, Any]](), random.Random(77)
    every = calls(Pool())
    for distinct in (2, 3, 5, 7, 10, 14, 20, 28, 40, 56):
        for _ in range(3):
            names = rng.sample(_LIGHT, distinct)
            alone = measure({n: partial(itself, every[n]) for n in names}, 2, yardstick=yardstick)
            times = cycle({n: every[n] for n in names}, yardstick)
            share = float(np.interp(distinct, table_.distinct, table_.share))
            found.append(
                {
                    "group": "a draw",
                    "x": distinct,
                    "predicted": share * sum(table_.extra_s[n] for n in names) / distinct,
                    "measured": sum(times[n] - alone[n] for n in names) / distinct,
                }
            )
    return found


def cold_code(profile: HardwareProfile) -> Points:
    """All operators after other data of sizes between the calibrated ones. x: bytes; seconds that a call takes longer, of four groups of operators."""
    known = profile.cold
    assert known is not None
    megabytes = (1.0, 4.0, 8.0, 12.0)
    timings = AfterOtherData(Pool(), megabytes, patient())
    for _ in range(3):
        timings.round()
    fresh = timings.table()
    order = sorted(known.own_s, key=lambda n: known.own_s[n])
    groups = {
        f"{q} quarter by cost": order[i * len(order) // 4 : (i + 1) * len(order) // 4]
        for i, q in enumerate(("first", "second", "third", "last"))
    }
    found = []
    for i, mb in enumerate(megabytes):
        distance = [0.0, *known.distance]
        share, shared = (
            float(np.interp(mb * 1e6, distance, [0.0, *column]))
            for column in (known.share, known.shared_s)
        )
        for label, names in groups.items():
            found.append(
                {
                    "group": label,
                    "x": mb * 1e6,
                    "predicted": shared + share * float(np.mean([known.own_s[n] for n in names])),
                    "measured": fresh.shared_s[i]
                    + fresh.share[i] * float(np.mean([fresh.own_s[n] for n in names])),
                }
            )
    return found


WIDTHS = (16, 48, 96, 192)


def new_shapes(profile: HardwareProfile) -> Points:
    """First calls of products of other widths than the calibrated ones, at sizes that were never run. x: width; seconds beyond the next call."""
    pool = Pool(DTYPES[profile.dtype])
    families: dict[str, Callable[[int], Callable[[Pool, int], Call]]] = {
        "linear": lambda width: lambda pool, m: plain(pool, m, 2 * width, width),
        "bmm": lambda width: lambda pool, m: bmm(pool, 8, m, m, width),
        "conv2d": lambda width: lambda pool, b: conv(pool, b, width, width, 5, 3, 1),
    }
    return [
        {
            "group": family,
            "x": width,
            "predicted": new_shape_seconds(family, profile),
            "measured": median(beyond(make(width), pool, range(73, 53, -2))),
        }
        for family, make in families.items()
        for width in WIDTHS
    ]


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


def instructions(profile: HardwareProfile) -> Points:
    """Stacks of modules around linear layers, against the same operators called one after the other. x: instructions; seconds."""
    price = profile.host.instruction
    assert price is not None
    h, found, ways = torch.randn(4, 16), list[dict[str, Any]](), dict[Any, Callable[[], Any]]()
    for layers in (1, 2, 4):
        for depth in (0, 1, 2, 4):
            block = _Block(layers, depth).eval()
            pairs = [(layer.weight, layer.bias) for layer in block.items]  # type: ignore[union-attr]
            ways[layers, depth, "modules"] = partial(block, h)
            ways[layers, depth, "bare"] = partial(_bare, pairs, h)
    counts = {key: _instructions(call) for key, call in ways.items()}
    times = measure(
        {key: partial(itself, call) for key, call in ways.items()}, 9, yardstick=patient()
    )
    for layers, depth in sorted({key[:2] for key in ways}):
        more = counts[layers, depth, "modules"] - counts[layers, depth, "bare"]
        found.append(
            {
                "group": f"{layers} linear layer{'s' if layers > 1 else ''}",
                "x": more,
                "predicted": more * price.value,
                "measured": times[layers, depth, "modules"] - times[layers, depth, "bare"],
            }
        )
    return found


def _bare(pairs: list[tuple[torch.Tensor, torch.Tensor]], h: torch.Tensor) -> torch.Tensor:
    for w, b in pairs:
        h = F.linear(h, w, b)
    return h


EFFECTS: dict[str, tuple[Callable[[HardwareProfile], Points], str, str, float]] = {
    "hot-operators": (hot_operators, "measured (s)", "predicted / measured", 1.0),
    "gather": (gather, "measured (s)", "predicted / measured", 1.0),
    "residency": (residency, "bytes between two visits (MB)", "extra (ps a byte)", 1e12),
    "activations": (activations, "bytes between two visits (MB)", "extra (ps a byte)", 1e12),
    "new-shapes": (new_shapes, "width", "extra of a first call (µs)", 1e6),
    "among": (among, "different operators in turn", "extra a call (µs)", 1e6),
    "cold-code": (cold_code, "bytes read before each call (MB)", "extra a call (µs)", 1e6),
    "instructions": (instructions, "instructions", "extra (µs)", 1e6),
}
"""Effect → its measurement, axes, and what seconds are multiplied by."""
MEGABYTES = ("residency", "activations", "cold-code")


def draw(effect: str, points: Points, about: str) -> bytes:
    """Dots are measured, lines predicted; of operators the ratio of both. SVG."""
    import matplotlib

    matplotlib.rcParams["svg.fonttype"] = "none"
    from matplotlib.figure import Figure

    _, xlabel, ylabel, scale = EFFECTS[effect]
    figure = Figure(figsize=(6.4, 3.4), layout="constrained")
    axes = figure.subplots()
    ratio = ylabel == "predicted / measured"
    across = 1e-6 if effect in MEGABYTES else 1.0
    for colour, group in zip(COLOURS, dict.fromkeys(p["group"] for p in points), strict=False):
        mine = sorted((p for p in points if p["group"] == group), key=lambda p: p["x"])
        x = [p["x"] * across for p in mine]
        if ratio:
            axes.scatter(
                x,
                [p["predicted"] / p["measured"] for p in mine],
                14,
                color=colour,
                label=group,
                linewidths=0,
            )
        else:
            axes.scatter(
                x,
                [p["measured"] * scale for p in mine],
                14,
                color=colour,
                label=group,
                linewidths=0,
            )
            if effect == "among":
                mine = [
                    {"predicted": np.mean([p["predicted"] for p in mine if p["x"] == at])}
                    for at in sorted(set(x))
                ]
                x = sorted(set(x))
            axes.plot(
                x, [p["predicted"] * scale for p in mine], color=colour, linewidth=1.2, alpha=0.8
            )
    if ratio:
        axes.axhspan(0.9, 1.1, color=GREY, alpha=0.2, linewidth=0)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_yticks([0.5, 0.7, 0.9, 1.1, 1.5, 2.0], ["0.5", "0.7", "0.9", "1.1", "1.5", "2"])
        axes.set_yticks([], minor=True)
        axes.set_ylim(0.45, 2.2)
    else:
        axes.set_ylim(bottom=min(0.0, *(p["measured"] * scale for p in points)))
    axes.set_xlabel(xlabel, color=GREY)
    axes.set_ylabel(ylabel, color=GREY)
    axes.set_title(about, fontsize=8, color=GREY, loc="left")
    axes.tick_params(colors=GREY, which="both", labelsize=8)
    for name, spine in axes.spines.items():
        spine.set_visible(name in ("left", "bottom"))
        spine.set_color(GREY)
    legend = axes.legend(frameon=False, fontsize=7, ncols=2 if ratio else 1)
    for text in legend.get_texts():
        text.set_color(GREY)
    figure.patch.set_alpha(0.0)
    axes.patch.set_alpha(0.0)
    return rendered(figure, "svg")


def spread(points: Points) -> dict[str, float]:
    """Median and 90th percentile of |predicted - measured|, over measured where an operator is predicted whole, over the mean measured of the effect else."""
    whole = all(p["x"] == p["measured"] for p in points)
    mean = float(np.mean([p["measured"] for p in points]))
    off = [abs(p["predicted"] - p["measured"]) / (p["measured"] if whole else mean) for p in points]
    return {"points": len(points), "median": median(off), "p90": float(np.quantile(off, 0.9))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--profile", default="this-machine")
    parser.add_argument("--only", nargs="*", default=list(EFFECTS), choices=list(EFFECTS))
    parser.add_argument("--write", type=Path)
    parser.add_argument("--draw", type=Path)
    args = parser.parse_args()
    folder = args.write or args.draw
    kept: dict[str, Any] = (
        json.loads((folder / "fits.json").read_text())
        if folder and (folder / "fits.json").exists()
        else {}
    )
    if args.draw is None:
        profile = hardware(args.profile)
        for effect in args.only:
            with threads(profile.threads):
                kept[effect] = {"profile": profile.name, "points": EFFECTS[effect][0](profile)}
    for effect, found in kept.items():
        s = spread(found["points"])
        print(
            f"{effect:14} {s['points']:4} points  median |error| {s['median']:.1%}  90th percentile {s['p90']:.1%}"
        )
    if args.write:
        write_whole(folder / "fits.json", json.dumps(kept, separators=(",", ":"), default=float))
    for effect, found in kept.items() if folder else ():
        write_whole(folder / f"fit-{effect}.svg", draw(effect, found["points"], found["profile"]))


if __name__ == "__main__":
    main()
