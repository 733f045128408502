"""Predicted beside measured: every measured case of every trace, predicted on the profile that it was measured under."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from condsim.errors import unknown
from condsim.hardware import HardwareProfile
from condsim.measure.yardsticks import noisy, quiet_rows
from condsim.predict.simulate import simulate, the_profile
from condsim.trace import DTYPES, Trace
from condsim.trace.store import load

CASE = [
    "strategy",
    "baseline",
    "phase",
    "batch",
    "protocol",
    "runtime",
    "dtype",
    "threads",
    "fingerprint",
]
COLUMNS = (
    "trace",
    "mechanism",
    "strategy",
    "runtime",
    "dtype",
    "phase",
    "batch",
    "baseline",
    "profile",
    "predicted_speedup",
    "measured_speedup",
    "error",
    "predicted_latency_s",
    "measured_latency_s",
    "predicted_baseline_s",
    "measured_baseline_s",
    "same_machine",
    "low",
    "high",
    "verdict",
    "measured_low",
    "measured_high",
    "processes",
    "pairs",
    "protocol",
    "flop_ratio",
    "roofline",
    "hot_sum",
    "noisy",
)
PART_COLUMNS = (
    "trace",
    "strategy",
    "batch",
    "phase",
    "baseline",
    "side",
    "calls",
    "predicted_s",
    "measured_s",
    "error",
    "share",
    "whole_s",
    "profile",
    "same_machine",
    "noisy",
)
BY = ("case", "segment", "operator")


def compare(
    traces: Trace | str | Path | Iterable[Trace | str | Path],
    profile: HardwareProfile | str | None = None,
    by: str = "case",
) -> pd.DataFrame:
    """A row a measured case: contract columns first, then interval, spread of the measurement over processes, and what rivals would say.

    profile: None = the one stored with each trace. error = predicted_speedup / measured_speedup - 1. A case that was measured on another machine than the
    profile's says so in same_machine. Fresh processes count before the caller's own; a noisy process counts only where there is no other. Cases with the
    user's own module as baseline have no prediction and are left out.
    by: "segment" or "operator": a row each of both sides of a case, where that was measured (`compare_parts`).
    """
    if by not in BY:
        raise unknown("by", by, BY)
    listed = [traces] if isinstance(traces, (Trace, str, Path)) else list(traces)
    opened = [item if isinstance(item, Trace) else load(item) for item in listed]
    if by != "case":
        return compare_parts(opened, profile, by)
    rows: list[dict[str, Any]] = []
    for trace in opened:
        if trace.measurements.empty:
            continue
        device = the_profile(trace, profile)
        for key, group in trace.measurements.groupby(CASE, sort=False):
            case = dict(zip(CASE, key, strict=True))
            if case["baseline"] != "module":
                rows.append(_row(trace, device, case, group))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def compare_parts(
    traces: Iterable[Trace], profile: HardwareProfile | str | None, by: str
) -> pd.DataFrame:
    """A row a segment (or an operator: `by`) of a side of a case, so that two wrong numbers cannot cancel.

    predicted_s, measured_s: of one step, the mean over the measured steps; error: predicted / measured - 1; share: of what was measured of the side;
    calls: a step. What was predicted of a side sums up to its predicted latency. whole_s: what the side took where no profiler watched.
    """
    rows: list[pd.DataFrame] = []
    for trace in traces:
        if trace.segments.empty:
            continue
        device = the_profile(trace, profile)
        for key, group in trace.segments.groupby(CASE, sort=False):
            rows.append(_parts(trace, device, dict(zip(CASE, key, strict=True)), group, by))
    columns = [*PART_COLUMNS[:6], by, *PART_COLUMNS[6:]]
    return pd.concat(rows, ignore_index=True)[columns] if rows else pd.DataFrame(columns=columns)


def _parts(
    trace: Trace, device: HardwareProfile, case: dict[str, Any], group: pd.DataFrame, by: str
) -> pd.DataFrame:
    steps = sorted(int(s) for s in group["step"].unique())
    p = simulate(
        trace,
        device,
        case["strategy"],
        int(case["batch"]),
        case["baseline"],
        dtype_of(case, device),
        case["runtime"],
        None,
        case["phase"],
        protocol=case["protocol"],
        steps=steps,
    )
    runs = len(group[["process", "step"]].drop_duplicates())
    measured = group.groupby(["side", by], sort=False)[["calls", "seconds"]].sum() / runs
    predicted = p.segments.groupby(["side", by], sort=False)["seconds"].sum()
    rows = measured.index.append(
        predicted.index.difference(measured.index, sort=False)
    )  # in executed order
    table = (
        pd.DataFrame(
            {
                "calls": measured["calls"],
                "measured_s": measured["seconds"],
                "predicted_s": predicted,
            },
            rows,
        )
        .fillna(0.0)
        .reset_index()
    )
    sides = group.drop_duplicates(["process", "step", "side"]).groupby("side")
    about: dict[str, Any] = {
        "trace": trace.name,
        "strategy": p.strategy,
        "batch": p.batch,
        "phase": p.phase,
        "baseline": p.baseline,
        "profile": p.profile,
        "same_machine": _same(device, case),
    }
    return table.assign(
        **about,
        error=table["predicted_s"] / table["measured_s"] - 1,
        share=table["measured_s"] / table.groupby("side")["measured_s"].transform("sum"),
        whole_s=table["side"].map(sides["whole_s"].mean()),
        noisy=table["side"].map(~sides["quiet"].all()),
    )


def cancelled(table: pd.DataFrame) -> dict[str, Any]:
    """How much of the errors of parts (rows of `compare_parts`) cancels: medians over the sides of the |error| of their sum, and of the sum of |errors|."""
    sides = table.assign(off=table["predicted_s"] - table["measured_s"]).groupby(
        ["trace", "strategy", "batch", "phase", "baseline", "side"]
    )
    total = sides["measured_s"].sum()
    net, gross = (
        sides["off"].sum().abs() / total,
        sides["off"].agg(lambda off: off.abs().sum()) / total,
    )
    return {
        "sides": len(total),
        "median_abs_error": float(net.median()),
        "median_sum_of_abs_errors": float(gross.median()),
    }


def errors_of(table: pd.DataFrame) -> dict[str, Any]:
    """Over the rows of `compare` that were measured on the machine of the profile: how many, median, 90th percentile and worst |error|."""
    same = table[table["same_machine"].astype(bool)]
    errors = same["error"].abs().dropna()
    return {
        "rows": len(table),
        "rows_same_machine": len(same),
        "median_abs_error": float(errors.median()) if len(errors) else None,
        "p90_abs_error": float(errors.quantile(0.9)) if len(errors) else None,
        "worst_abs_error": float(errors.max()) if len(errors) else None,
    }


def errors_by(table: pd.DataFrame, column: str) -> pd.DataFrame:
    """`errors_of` for each value of a column, with the bias (the median signed error), over the rows measured on the machine of their profile."""
    rows = []
    for value, group in table[table["same_machine"].astype(bool)].groupby(column, sort=True):
        found = errors_of(group)
        names = ("median_abs_error", "p90_abs_error", "worst_abs_error")
        rows.append(
            {
                column: value,
                "cases": found["rows"],
                "bias": float(group["error"].median()),
                **{n: found[n] for n in names},
            }
        )
    return pd.DataFrame(
        rows,
        columns=[column, "cases", "bias", "median_abs_error", "p90_abs_error", "worst_abs_error"],
    )


def cause_of(row: Mapping[Any, Any]) -> str:
    """What a row of `compare` says about its own error: which side is off by how much, and whether the measurement is to be trusted."""
    sides = [
        (name, row[f"predicted_{column}"] / row[f"measured_{column}"] - 1)
        for name, column in (("conditional", "latency_s"), ("dense", "baseline_s"))
    ]
    said = [
        f"{name} side {abs(off):.0%} too {'slow' if off > 0 else 'fast'}"
        for name, off in sorted(sides, key=lambda s: -abs(s[1]))
        if abs(off) >= 0.01
    ]
    spread = row["measured_high"] / row["measured_low"] - 1
    if row["noisy"]:
        said.append("measured on a noisy machine")
    if spread > 0.05:
        said.append(f"processes differ by {spread:.0%}")
    if row["low"] <= row["measured_speedup"] <= row["high"]:
        said.append("inside the 90 % interval")
    return "; ".join(said)


def dtype_of(case: Mapping[str, Any], device: HardwareProfile) -> str | None:
    """What a case ran in, by a GPU's name for it; None, the profile's own, for what it does not have and for other classes of devices."""
    known = DTYPES.get(case["dtype"])
    return known if device.gpu is not None and known in device.peak_flops else None


def _row(
    trace: Trace, device: HardwareProfile, case: dict[str, Any], group: pd.DataFrame
) -> dict[str, Any]:
    fresh = group[group["where"] == "fresh process"]
    same = _same(device, case)
    group = fresh if len(fresh) else group
    counting = quiet_rows(group, device.yardstick_s if same else None)
    measured = _measured(counting)
    steps = sorted(int(s) for s in counting["step"].unique())
    p = simulate(
        trace,
        device,
        case["strategy"],
        int(case["batch"]),
        case["baseline"],
        dtype_of(case, device),
        case["runtime"],
        None,
        case["phase"],
        protocol=case["protocol"],
        steps=steps,
    )
    return {
        "trace": trace.name,
        "mechanism": p.mechanism,
        "strategy": p.strategy,
        "runtime": p.runtime,
        "dtype": p.dtype,
        "phase": p.phase,
        "batch": p.batch,
        "baseline": p.baseline,
        "profile": p.profile,
        "predicted_speedup": p.speedup,
        "error": p.speedup / measured["measured_speedup"] - 1,
        "predicted_latency_s": p.latency_s,
        "predicted_baseline_s": p.baseline_s,
        "same_machine": same,
        "low": p.speedup_interval[0],
        "high": p.speedup_interval[1],
        "verdict": p.verdict,
        "protocol": case["protocol"],
        **p.rivals,
        **measured,
        "noisy": noisy(counting, device.yardstick_s if same else None),
    }


def _measured(group: pd.DataFrame) -> dict[str, Any]:
    """Each step counts with the medians of its pairs over all processes: latency is their mean, speedup the ratio of their sums.

    measured_low, measured_high: the same speedup of each process alone, of those that have pairs of every step.
    """
    sides = ["conditional_s", "baseline_s"]
    steps = group.groupby("step")[sides].median()
    speedup = float(steps["baseline_s"].sum() / steps["conditional_s"].sum())
    alone = (
        group.groupby(["process", "step"])[sides]
        .median()
        .groupby("process")[sides]
        .agg(["sum", "count"])
    )
    whole = alone[alone["baseline_s", "count"] == len(steps)]
    of_processes = (
        whole["baseline_s", "sum"] / whole["conditional_s", "sum"]
        if len(whole)
        else pd.Series([speedup])
    )
    return {
        "measured_speedup": speedup,
        "measured_latency_s": float(steps["conditional_s"].mean()),
        "measured_baseline_s": float(steps["baseline_s"].mean()),
        "measured_low": min(float(of_processes.min()), speedup),
        "measured_high": max(float(of_processes.max()), speedup),
        "processes": max(len(whole), 1),
        "pairs": len(group),
    }


def _same(device: HardwareProfile, case: Mapping[str, Any]) -> bool:
    """Whether a measurement was taken on the machine that the profile describes, in a dtype that it knows."""
    known = DTYPES.get(case["dtype"], case["dtype"]) in device.peak_flops
    return (
        device.fingerprint is not None
        and known
        and json.loads(case["fingerprint"]) == dict(device.fingerprint)
    )
