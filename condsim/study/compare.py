"""Predicted beside measured: every measured case, on the profile it was measured under."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from condsim.errors import unknown
from condsim.hardware import HardwareProfile
from condsim.measure.yardsticks import noisy, quiet_rows
from condsim.predict.simulate import resolve_profile
from condsim.study.cases import Case, measured_cases, taken_from
from condsim.study.parts import compare_parts
from condsim.trace import Trace
from condsim.trace.read import load

COLUMNS = [
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
]
PREDICTED = (
    "mechanism",
    "strategy",
    "runtime",
    "dtype",
    "phase",
    "batch",
    "baseline",
    "profile",
    "verdict",
)
"""Columns that are fields of the prediction."""
BY = ("case", "segment", "operator")
SIDES = ["conditional_s", "baseline_s"]
ERRORS = ("median_abs_error", "p90_abs_error", "worst_abs_error")
SMALL_ERROR = 0.01
"""A side that is off by less is not named as a cause."""
WIDE_SPREAD = 0.05
"""Processes of one case that differ by more are named as a cause."""


def compare(
    traces: Trace | str | Path | Iterable[Trace | str | Path],
    profile: HardwareProfile | str | None = None,
    by: str = "case",
) -> pd.DataFrame:
    """Predict what was measured: a row a measured case.

    The contract's columns come first, then the interval, the spread of the measurement over
    processes, and what simpler models ("rivals") would say.

    profile: None = the one stored with each trace. `same_machine` is false where a case was
        measured on another machine than the profile's.
    by: "segment" or "operator": a row each of both sides of a case, where those were measured
        (`condsim.study.parts.compare_parts`).
    error = predicted_speedup / measured_speedup - 1.

    Fresh processes count before the caller's own. A noisy process counts only where there is no
    other. Cases whose baseline is the user's own module have no prediction and are left out.
    Raises CondsimError for an unknown `by`.
    """
    if by not in BY:
        raise unknown("by", by, BY)
    opened = _opened(traces)
    if by != "case":
        return compare_parts(opened, profile, by)
    rows: list[dict[str, Any]] = []
    for trace in opened:
        if trace.measurements.empty:
            continue
        device = resolve_profile(trace, profile)
        for case, measured in measured_cases(trace.measurements):
            if case.baseline != "module":
                rows.append(_compare_case(trace, device, case, measured))
    return pd.DataFrame(rows, columns=COLUMNS)


def _opened(traces: Trace | str | Path | Iterable[Trace | str | Path]) -> list[Trace]:
    if not isinstance(traces, Iterable) or isinstance(traces, str):
        traces = [traces]
    opened = []
    for item in traces:
        trace = item if isinstance(item, Trace) else load(item)
        opened.append(trace)
    return opened


def _compare_case(
    trace: Trace, device: HardwareProfile, case: Case, measured: pd.DataFrame
) -> dict[str, Any]:
    same_machine = case.measured_on(device)
    yardstick_s = device.yardstick_s if same_machine else None
    counting = counting_rows(measured, case, device)
    times = _measured_times(counting)
    predicted = case.predict(trace, device, counting)
    error = predicted.speedup / times["measured_speedup"] - 1
    low, high = predicted.speedup_interval
    return {
        "trace": trace.name,
        **taken_from(predicted, PREDICTED),
        "protocol": case.protocol,
        "predicted_speedup": predicted.speedup,
        "predicted_latency_s": predicted.latency_s,
        "predicted_baseline_s": predicted.baseline_s,
        "low": low,
        "high": high,
        **predicted.rivals,
        **times,
        "error": error,
        "same_machine": same_machine,
        "noisy": noisy(counting, yardstick_s),
    }


def counting_rows(measured: pd.DataFrame, case: Case, device: HardwareProfile) -> pd.DataFrame:
    """The rows of a case that count: fresh processes before others, quiet ones before noisy."""
    fresh = measured[measured["where"] == "fresh process"]
    usable = measured if fresh.empty else fresh
    yardstick_s = device.yardstick_s if case.measured_on(device) else None
    return quiet_rows(usable, yardstick_s)


def _measured_times(pairs: pd.DataFrame) -> dict[str, Any]:
    """Latency and speedup of one case.

    Each step counts with the medians of its pairs over all processes. The latency is the mean of
    the steps, the speedup the quotient of their sums. measured_low and measured_high: the smallest
    and largest speedup of one process alone, over processes that have pairs of every step.
    """
    steps = pairs.groupby("step")[SIDES].median()
    conditional_s, baseline_s = steps["conditional_s"], steps["baseline_s"]
    speedup = float(baseline_s.sum() / conditional_s.sum())
    of_process = _speedup_of_processes(pairs, len(steps))
    speedups = [*of_process.tolist(), speedup]
    return {
        "measured_speedup": speedup,
        "measured_latency_s": float(conditional_s.mean()),
        "measured_baseline_s": float(baseline_s.mean()),
        "measured_low": min(speedups),
        "measured_high": max(speedups),
        "processes": max(len(of_process), 1),
        "pairs": len(pairs),
    }


def _speedup_of_processes(pairs: pd.DataFrame, steps: int) -> pd.Series:
    """The speedup that each process alone measured, of those that have pairs of all steps."""
    medians = pairs.groupby(["process", "step"])[SIDES].median()
    sums = medians.groupby("process")[SIDES].sum()
    timed_steps = medians.groupby("process")["baseline_s"].count()
    whole = sums[timed_steps == steps]
    return whole["baseline_s"] / whole["conditional_s"]


def errors_of(table: pd.DataFrame) -> dict[str, Any]:
    """How many rows there are, and the median, 90th percentile and worst |error|.

    table: of `compare`. Only rows measured on the machine of their profile have an error that
    counts; the three are None where there is no such row.
    """
    same_machine = table[table["same_machine"].astype(bool)]
    errors = same_machine["error"].abs().dropna()
    summary: dict[str, Any] = {
        "rows": len(table),
        "rows_same_machine": len(same_machine),
        "median_abs_error": None,
        "p90_abs_error": None,
        "worst_abs_error": None,
    }
    if errors.empty:
        return summary
    summary["median_abs_error"] = float(errors.median())
    summary["p90_abs_error"] = float(errors.quantile(0.9))
    summary["worst_abs_error"] = float(errors.max())
    return summary


def errors_by(table: pd.DataFrame, column: str) -> pd.DataFrame:
    """`errors_of` for each value of a column, with the bias (the median signed error).

    table: of `compare`; rows that were measured on another machine are left out.
    """
    same_machine = table[table["same_machine"].astype(bool)]
    rows = []
    for value, group in same_machine.groupby(column, sort=True):
        summary = errors_of(group)
        bias = float(group["error"].median())
        row = {column: value, "cases": summary["rows"], "bias": bias}
        for name in ERRORS:
            row[name] = summary[name]
        rows.append(row)
    return pd.DataFrame(rows, columns=[column, "cases", "bias", *ERRORS])


def cause_of(row: Mapping[Any, Any]) -> str:
    """What a row of `compare` says about its error, in words.

    Which side is predicted too slow or too fast, by how much, the worse one first; and whether the
    measurement can be trusted.
    """
    said = _sides_that_are_off(row)
    spread = row["measured_high"] / row["measured_low"] - 1
    if row["noisy"]:
        said.append("measured on a noisy machine")
    if spread > WIDE_SPREAD:
        said.append(f"processes differ by {spread:.0%}")
    if row["low"] <= row["measured_speedup"] <= row["high"]:
        said.append("inside the 90 % interval")
    return "; ".join(said)


def _sides_that_are_off(row: Mapping[Any, Any]) -> list[str]:
    conditional_error = row["predicted_latency_s"] / row["measured_latency_s"] - 1
    dense_error = row["predicted_baseline_s"] / row["measured_baseline_s"] - 1
    errors = {"conditional": conditional_error, "dense": dense_error}
    said = []
    for side in sorted(errors, key=lambda side: -abs(errors[side])):
        error = errors[side]
        direction = "slow" if error > 0 else "fast"
        if abs(error) >= SMALL_ERROR:
            said.append(f"{side} side {abs(error):.0%} too {direction}")
    return said
