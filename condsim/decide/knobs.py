"""The numbers of a device that people ask "what if" about, and which of them move an answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pandas as pd

from condsim.hardware import HardwareProfile
from condsim.study.answer import Answer
from condsim.study.what_if import paths_of_numbers, scaled

WHAT_IF = "what-if"
"""Ends the name of a device whose numbers were changed."""
HALF, TWICE = 0.5, 2.0
MOVES = ["number", "path", "factor", "speedup", "low", "high", "latency_s", "moves"]
OTHERS = {
    "host.dispatch": "Launch of an operator",
    "host.synchronise": "Wait for the device",
    "graphs.launch": "Launch of a graph",
    "links.host": "Link to the host",
    "gpu.kernel_s": "Start of a kernel",
}
"""Path of a number → what people call it; beside compute and memory."""


@dataclass(frozen=True)
class Knob:
    """A number of a device. label: what people call it. path: in the profile."""

    label: str
    path: str


def knobs(profile: HardwareProfile, dtype: str) -> list[Knob]:
    """Return the numbers of a device that are asked about. dtype: that a model runs in."""
    known = set(paths_of_numbers(profile))
    return [knob for knob in _candidates(profile, dtype) if knob.path in known]


def _candidates(profile: HardwareProfile, dtype: str) -> Iterator[Knob]:
    yield Knob(f"Compute, {dtype}", f"peak_flops.{dtype}")
    by_size = sorted(profile.memory, key=lambda name: -profile.memory[name].bytes.value)
    for name in by_size:
        yield Knob(f"{name} bandwidth", f"memory.{name}.bandwidth")
        yield Knob(f"{name} size", f"memory.{name}.bytes")
    for path, label in OTHERS.items():
        yield Knob(label, path)


def edited(profile: HardwareProfile, factors: Mapping[str, float]) -> HardwareProfile:
    """Return a device with some numbers multiplied, under a name of its own.

    factors: path → factor. It is no machine that was measured on, so it has no fingerprint.
    Raises CondsimError for a number that the profile does not have.
    """
    if all(factor == 1 for factor in factors.values()):
        return profile
    changed = scaled(profile, factors)
    return changed.replace(name=f"{profile.name}-{WHAT_IF}", fingerprint=None)


def move_of(knob: Knob, factor: float, changed: Answer, now: Answer) -> dict[str, object]:
    """Return a row of `MOVES`: what an answer becomes where a number is another.

    changed, now: the answers with and without it. moves: whether any second changes at all.
    """
    p, before = changed.prediction, now.prediction
    low, high = p.speedup_interval
    moves = p.latency_s != before.latency_s or p.baseline_s != before.baseline_s
    return {
        "number": knob.label,
        "path": knob.path,
        "factor": factor,
        "speedup": p.speedup,
        "low": low,
        "high": high,
        "latency_s": p.latency_s,
        "moves": moves,
    }


def moves(rows: list[dict[str, object]]) -> pd.DataFrame:
    """Return rows of `move_of` as a table, numbers that move the speedup most first."""
    table = pd.DataFrame(rows, columns=MOVES)
    spread = table.groupby("path")["speedup"].agg(lambda speedups: speedups.max() / speedups.min())
    table["spread"] = table["path"].map(spread)
    ordered = table.sort_values(["spread", "path", "factor"], ascending=[False, True, True])
    return ordered.drop(columns="spread").reset_index(drop=True)
