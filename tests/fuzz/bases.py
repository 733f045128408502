"""What is damaged: small traces of each mechanism with everything that a trace can hold."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pandas as pd

import condsim
from condsim.hardware import hardware
from condsim.resources import resource
from condsim.trace import SEGMENTS, Decisions, Trace
from condsim.trace.encoding import in_memory

STEPS = 4
"""Of each trace; the shipped ones have up to 64."""
MEASURED_ROWS = 24
DEVICES = ("raspberry-pi-5", "nvidia-h100-sxm", "google-tpu-v5e", "apple-neural-engine-m4")
NAMES = (
    *("branch-fashion", "exit-fashion", "skip-fashion", "sparse-bytes", "moe-bytes"),
    *("prune-fashion", "merge-fashion", "moe-bytes-train", "sparse-fashion"),
)
SWEPT, SWEPT_BY = "exit-fashion", "raspberry-pi-5"
GRID = {"batch": [1, 2], "strategy": ["compacted", "masked", "wait"]}
"""The sweep whose tables are damaged: of a base, on a device."""
TABLES = {"sweep.parquet": False, "details.parquet": True}
"""Files of that sweep, and whether with details."""
BESIDE = ("settings/threshold=0.6", "noise/occlusion=8", "rivals/dense-2-of-4-stages")
"""Traces beside those of a base, in its folder."""
WITH_OTHERS = "exit-fashion"


def write_bases(folder: Path) -> None:
    """Write each trace below a folder, by its name, and the tables of a sweep."""
    for name in NAMES:
        small(condsim.load(resource("traces") / name)).save(folder / name)
    for name in BESIDE:
        beside = condsim.load(resource("traces") / WITH_OTHERS / name)
        small(beside).save(folder / WITH_OTHERS / name)
    for file, details in TABLES.items():
        swept = condsim.load(folder / SWEPT)
        condsim.sweep(swept, GRID, SWEPT_BY, out=folder / file, details=details)


def small(trace: Trace) -> Trace:
    """The first steps of a trace with few measurements, and some by segment."""
    steps = trace.steps.iloc[:STEPS].reset_index(drop=True)
    units = int(steps["units"].sum())
    decisions: dict[str, Decisions] = {}
    for site in trace.sites:
        rows = int(trace.rows_per_unit(site)[:units].sum())
        whole = trace.decisions(site.name)
        decisions[site.name] = Decisions(
            whole.ids[:rows],
            None if whole.weights is None else whole.weights[:rows],
            None if whole.scores is None else whole.scores[:rows],
        )
    measured = trace.measurements
    of_these_steps = measured[measured["step"].astype(int) < STEPS]
    return dataclasses.replace(
        trace,
        steps=steps,
        reader=in_memory(decisions),
        quality=trace.quality.iloc[:units],
        measurements=of_these_steps.iloc[:MEASURED_ROWS].reset_index(drop=True),
        segments=segments(trace) if len(measured) else trace.segments,
        profile=hardware(DEVICES[0]),
    )


def segments(trace: Trace) -> pd.DataFrame:
    """Times by segment of the first step, as a measurement would give them."""
    first = trace.measurements.iloc[0].to_dict()
    row = {name: first.get(name, 0) for name in SEGMENTS}
    sides = ("conditional", "baseline")
    parts = (("trunk", "linear"), ("trunk", "relu"))
    common = {"step": 0, "protocol": "repeat", "calls": 1, "quiet": True, "repetitions": 1}
    rows = []
    for side in sides:
        for segment, operator in parts:
            seconds = {"seconds": 1e-4, "profiler_s": 1e-4, "whole_s": 2e-4}
            rows.append(
                {**row, **common, **seconds, "side": side}
                | {"segment": segment, "operator": operator}
            )
    return pd.DataFrame(rows, columns=list(SEGMENTS))
