"""The one change that gains most, on the whole step: each is simulated anew."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pandas as pd

from condsim.decide.points import Said, predict_points
from condsim.decide.subject import Asked, Subject
from condsim.errors import CondsimError
from condsim.hardware import HardwareProfile
from condsim.parallel.placement import PLACERS
from condsim.predict.choose import strategies_on
from condsim.predict.prediction import AS_CAPTURED, Prediction
from condsim.predict.verdict import verdict_of
from condsim.runtimes import runtimes_of

COLUMNS = [
    "change", "to", "speedup", "low", "high", "verdict", "latency_s", "unit_s", "times", "per_unit",
    "outputs", "error",
]  # fmt: skip
LEAST_GAIN = 1.005
"""A speedup that grows by less than that is no gain."""

OTHER_PRECISION = "of another precision: check the quality"
PRECISION = {"dtype": OTHER_PRECISION, "weights": OTHER_PRECISION}
"""Kind of change → what it does to the outputs, whatever the strategy."""

Change = tuple[str, str, dict[str, Any]]
"""What is changed, to what, and the fields of a scenario that say it."""


def changes(
    subject: Subject,
    profile: HardwareProfile,
    asked: Asked,
    now: Prediction,
    threshold: float = 1.0,
) -> pd.DataFrame:
    """Return what each single change would give: a row a change, the largest speedup first.

    asked: the scenario. now: what is predicted of it.
    change: strategy, runtime, dtype, weights, batch or placement. to: its value. speedup, low,
    high: over the baseline of the changed scenario. verdict: against the threshold. unit_s: seconds
    a unit. times: the speedup over that of now. per_unit: seconds a unit of now over unit_s.
    outputs: how they differ from the model's. error: why there is none.
    """
    candidates = list(_candidates(subject, profile, asked, now))
    points = [_changed(asked, now, change) for change in candidates]
    said = predict_points(subject, profile, points)
    rows = [_row(now, change, each) for change, each in zip(candidates, said, strict=True)]
    table = pd.DataFrame(rows, columns=COLUMNS)
    intervals = zip(table["low"], table["high"], strict=True)
    known = table["speedup"].notna()
    verdicts = pd.Series([verdict_of(ends, threshold) for ends in intervals], index=table.index)
    table["verdict"] = verdicts.where(known, None)
    return table.sort_values("speedup", ascending=False, kind="stable").reset_index(drop=True)


def _candidates(
    subject: Subject, profile: HardwareProfile, asked: Asked, now: Prediction
) -> Iterator[Change]:
    """Changes that the device and the subject have."""
    varied = {name: asked[name] for name in subject.varies if name in asked}
    runtime = now.runtime
    for strategy in _strategies(subject, profile, varied, runtime):
        if strategy != now.strategy:
            yield "strategy", strategy, {"strategy": strategy}
    for other in runtimes_of(profile):
        if other != runtime:
            yield "runtime", other, {"runtime": other}
    for dtype in profile.peak_flops:
        if dtype != now.dtype:
            yield "dtype", dtype, {"dtype": dtype}
    for weights in profile.weight_dtypes:
        if weights != now.weights:
            yield "weights", weights, {"weights": weights}
    for batch in subject.batches(now.phase):
        if batch != now.batch:
            yield "batch", str(batch), {"batch": batch}
    yield from _placements(asked)


def _strategies(
    subject: Subject, profile: HardwareProfile, varied: Asked, runtime: str
) -> list[str]:
    try:
        return strategies_on(subject.trace(varied), profile, runtime)
    except CondsimError:
        return []


def _placements(asked: Asked) -> Iterator[Change]:
    parallel = asked.get("parallel")
    if parallel is None:
        return
    for name in PLACERS:
        if name != parallel.placement:
            yield "placement", name, {"parallel": replace(parallel, placement=name)}


def _changed(asked: Asked, now: Prediction, change: Change) -> dict[str, Any]:
    """The scenario with one change; what the device chose by itself stays chosen."""
    kind, _, fields = change
    given = {"baseline": now.baseline, **asked, **fields}
    if kind not in ("strategy", "runtime"):
        given.setdefault("strategy", now.strategy)
    return given


def _row(now: Prediction, change: Change, said: Said) -> dict[str, Any]:
    """One change, simulated."""
    kind, to, _ = change
    row: dict[str, Any] = {"change": kind, "to": to}
    if not isinstance(said, Prediction):
        return row | {"error": str(said)}
    low, high = said.speedup_interval
    unit_s = said.latency_s / said.batch
    return row | {
        "speedup": said.speedup,
        "low": low,
        "high": high,
        "latency_s": said.latency_s,
        "unit_s": unit_s,
        "times": said.speedup / now.speedup,
        "per_unit": now.latency_s / now.batch / unit_s,
        "outputs": PRECISION.get(kind, said.outputs),
    }


def biggest(table: pd.DataFrame, batch_is_free: bool = True) -> dict[str, Any] | None:
    """Return the change that gains most: the largest speedup of those that keep the outputs and
    take no longer a unit; None where none gains.

    table: of `changes`. batch_is_free: whether another batch may be chosen.
    """
    allowed = table[table["speedup"].notna()]
    gains = allowed["times"] >= LEAST_GAIN
    no_slower = allowed["per_unit"] >= 1 - 1e-9
    same = allowed["outputs"].isin((AS_CAPTURED, OTHER_PRECISION))
    best = allowed[gains & no_slower & same]
    if not batch_is_free:
        best = best[best["change"] != "batch"]
    return None if best.empty else dict(best.iloc[0])
