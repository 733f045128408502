"""Predicted beside measured, segment by segment or operator by operator, so that errors show.

Two wrong numbers can cancel in a speedup; here each stands alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pandas as pd

from condsim.errors import CondsimError
from condsim.hardware import HardwareProfile
from condsim.predict.simulate import resolve_profile
from condsim.study.cases import Case, measured_cases, taken_from
from condsim.trace import Trace

COLUMNS_BEFORE = ["trace", "strategy", "batch", "phase", "baseline", "side"]
COLUMNS_AFTER = [
    "calls",
    "predicted_s",
    "measured_s",
    "error",
    "share",
    "whole_s",
    "profile",
    "same_machine",
    "noisy",
]
"""Columns before and after the one that names the segment or the operator."""
PREDICTED = ("strategy", "batch", "phase", "baseline", "profile")
"""Columns that are fields of the prediction."""


def compare_parts(
    traces: Iterable[Trace], profile: HardwareProfile | str | None, by: str
) -> pd.DataFrame:
    """A row a segment or operator of each side of each case.

    profile: None = the one stored with each trace. by: "segment" or "operator".
    predicted_s, measured_s: seconds of one step, the mean over the measured steps; the predicted
        ones of a side add up to its predicted latency.
    error: predicted_s / measured_s - 1. share: of the measured time of the side. calls: a step.
    whole_s: seconds that a step of the side took where no profiler watched.
    """
    columns = [*COLUMNS_BEFORE, by, *COLUMNS_AFTER]
    tables: list[pd.DataFrame] = []
    for trace in traces:
        if trace.segments.empty:
            continue
        device = resolve_profile(trace, profile)
        for case, measured in measured_cases(trace.segments):
            tables.append(_compare_case(trace, device, case, measured, by))
    if not tables:
        return pd.DataFrame(columns=columns)
    return pd.concat(tables, ignore_index=True)[columns]


def _compare_case(
    trace: Trace, device: HardwareProfile, case: Case, measured: pd.DataFrame, by: str
) -> pd.DataFrame:
    prediction = case.predict(trace, device, measured)
    table = _side_by_side(measured, prediction.segments, by)
    measured_s_of_side = table.groupby("side")["measured_s"].transform("sum")
    for side in table.loc[~(measured_s_of_side > 0), "side"]:
        raise CondsimError(
            f"trace {trace.name!r} holds no time of its {side} side by segment for "
            f"{case.strategy!r} at batch {case.batch}; measure it again"
        )
    table["error"] = table["predicted_s"] / table["measured_s"] - 1
    table["share"] = table["measured_s"] / measured_s_of_side
    steps = measured.drop_duplicates(["process", "step", "side"])
    steps_of_side = steps.groupby("side")
    whole_s = steps_of_side["whole_s"].mean()
    noisy = ~steps_of_side["quiet"].all()
    table["whole_s"] = table["side"].map(whole_s)
    table["noisy"] = table["side"].map(noisy)
    about = taken_from(prediction, PREDICTED)
    same_machine = case.measured_on(device)
    return table.assign(**about, trace=trace.name, same_machine=same_machine)


def _side_by_side(measured: pd.DataFrame, predicted: pd.DataFrame, by: str) -> pd.DataFrame:
    """Calls and seconds a step of each part: measured parts as executed, then those predicted only.

    What one of the two lacks is 0.
    """
    key = ["side", by]
    runs = measured[["process", "step"]].drop_duplicates()
    sums = measured.groupby(key, sort=False)[["calls", "seconds"]].sum()
    measured_parts = sums / len(runs)
    predicted_s = predicted.groupby(key, sort=False)["seconds"].sum()
    predicted_only = predicted_s.index.difference(measured_parts.index, sort=False)
    columns = {
        "calls": measured_parts["calls"],
        "measured_s": measured_parts["seconds"],
        "predicted_s": predicted_s,
    }
    every_part = measured_parts.index.append(predicted_only)
    table = pd.DataFrame(columns, every_part)
    return table.fillna(0.0).reset_index()


def cancelled(table: pd.DataFrame) -> dict[str, Any]:
    """How much of the errors of parts cancels in the sum of their side. table: of `compare_parts`.

    sides: how many there are. Both errors are over the measured time of the side, and medians over
    the sides. median_abs_error: |error| of the sum of the parts. median_sum_of_abs_errors: sum of
    the |errors| of the parts, in which nothing cancels.
    """
    error_s = table["predicted_s"] - table["measured_s"]
    parts = table.assign(error_s=error_s)
    sides = parts.groupby(COLUMNS_BEFORE)
    measured_s = sides["measured_s"].sum()
    summed_error_s = sides["error_s"].sum()
    error_of_sum = summed_error_s.abs() / measured_s
    sum_of_errors = sides["error_s"].agg(_sum_of_abs) / measured_s
    return {
        "sides": len(measured_s),
        "median_abs_error": float(error_of_sum.median()),
        "median_sum_of_abs_errors": float(sum_of_errors.median()),
    }


def _sum_of_abs(values: pd.Series) -> float:
    return float(values.abs().sum())
