"""When does it start, or stop, paying: one scenario over a grid of two axes, and where the speedup crosses 1x."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from condsim.errors import CondsimError, unknown
from condsim.hardware import HardwareProfile, Quantity
from condsim.predict.simulate import simulate, the_profile
from condsim.steps.redraw import SHARED, redrawn
from condsim.study.routing import powers
from condsim.trace import Trace

BATCH, SKEW, SHARE = "batch", "skew", "share"
FACTORS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
"""By which a number of the profile is multiplied."""


def axes(trace: Trace, profile: HardwareProfile) -> dict[str, list[float]]:
    """What can be varied, with sensible values: the batch, the skew of experts, the share of rows that run, and each number of the profile (as a factor)."""
    phase = trace.steps["phase"].iloc[0]
    most = int(
        trace.steps.loc[trace.steps["phase"] == phase].groupby(["seq", "past"])["units"].sum().max()
    )
    found: dict[str, list[float]] = {BATCH: [float(b) for b in powers(most)]}
    if any(s.mechanism == "moe" for s in trace.sites):
        found[SKEW] = [0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0]
    if any(s.mechanism in SHARED for s in trace.sites):
        found[SHARE] = [0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.95]
    return found | {path: list(FACTORS) for path in _numbers(profile.model_dump())}


def _numbers(data: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in data.items():
        if isinstance(value, Mapping) and "basis" in value and "value" in value:
            yield prefix + key
        elif isinstance(value, Mapping):
            yield from _numbers(value, f"{prefix}{key}.")


def grid(
    trace: Trace,
    profile: HardwareProfile | str | None,
    x: str,
    xs: Sequence[float],
    y: str | None = None,
    ys: Sequence[float] = (),
    **options: Any,
) -> Iterator[dict[str, Any]]:
    """Simulate every point of a grid, one row at a time: x, y, speedup, low, high, verdict, latency_s, and error where a point cannot be.

    x, y: names of `axes` (y None: a line). options: of `condsim.simulate`. Raises CondsimError for an unknown axis.
    """
    device = the_profile(trace, profile)
    known = axes(trace, device)
    for axis in (x, y):
        if axis is not None and axis not in known:
            raise unknown("axis", axis, known)
    if x == y:
        raise CondsimError(f"both axes are {x!r}; choose two")
    traces: dict[Any, Trace] = {}
    for b in ys if y is not None else [None]:
        for a in xs:
            at = {x: float(a)} | ({} if y is None or b is None else {y: float(b)})
            yield {
                "x": float(a),
                "y": None if b is None else float(b),
                **_point(trace, device, at, traces, options),
            }


def _point(
    trace: Trace,
    device: HardwareProfile,
    at: Mapping[str, float],
    traces: dict[Any, Trace],
    options: Mapping[str, Any],
) -> dict[str, Any]:
    key = at.get(SKEW), at.get(SHARE)
    try:
        if key not in traces:
            traces[key] = trace if key == (None, None) else redrawn(trace, *key)
        changed = {
            path: _times(device, path, factor)
            for path, factor in at.items()
            if path not in (BATCH, SKEW, SHARE) and factor != 1.0
        }
        given = dict(options) | ({"batch": round(at[BATCH])} if BATCH in at else {})
        p = simulate(traces[key], device.replace(**changed) if changed else device, **given)
    except CondsimError as error:
        return {"error": str(error)}
    low, high = p.speedup_interval
    return {
        "speedup": p.speedup,
        "low": low,
        "high": high,
        "verdict": p.verdict,
        "latency_s": p.latency_s,
        "baseline_s": p.baseline_s,
    }


def _times(device: HardwareProfile, path: str, factor: float) -> Quantity:
    value: Any = device.model_dump()
    for part in path.split("."):
        value = value[part]
    return Quantity.model_validate(
        {
            **value,
            "value": value["value"] * factor,
            "basis": "estimated",
            "source": f"what if x{factor:g}",
            "uncertainty": value["uncertainty"] or 0.0,
        }
    )


def crossings(points: pd.DataFrame, level: float = 1.0) -> pd.DataFrame:
    """Where the speedup crosses `level` along x, for each y: x of the crossing, and starts or stops.

    points: rows of `grid`. Between two points the logarithm of the speedup is taken as linear in log x (in x, where x is 0).
    """
    rows = []
    usable = points.dropna(subset=["speedup"]) if "speedup" in points else points.iloc[:0]
    for y, line in usable.groupby(
        usable["y"].astype(object).where(usable["y"].notna(), None), dropna=False, sort=False
    ):
        line = line.sort_values("x")
        x, s = line["x"].to_numpy(float), np.log(line["speedup"].to_numpy(float) / level)
        for i in np.flatnonzero(np.diff(np.sign(s)) != 0):
            part = s[i] / (s[i] - s[i + 1])
            at = (
                math.exp(math.log(x[i]) + part * math.log(x[i + 1] / x[i]))
                if x[i] > 0
                else x[i] + part * (x[i + 1] - x[i])
            )
            rows.append(
                {"y": y, "x": at, "what": "starts to pay" if s[i + 1] > s[i] else "stops to pay"}
            )
    return pd.DataFrame(rows, columns=["y", "x", "what"])
