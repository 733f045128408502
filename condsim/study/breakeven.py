"""When conditional computation starts, or stops, to pay.

One scenario over a grid of one or two axes, and where the speedup crosses 1x.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from condsim.errors import CondsimError, unknown
from condsim.hardware import HardwareProfile, Quantity
from condsim.mechanisms import MECHANISMS
from condsim.predict.simulate import resolve_profile, simulate
from condsim.steps.redraw import redrawn
from condsim.study.routing import powers
from condsim.trace import Trace

BATCH, SKEW, SHARE = "batch", "skew", "share"
"""Axes that are not a number of the profile."""
SKEWS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0)
SHARES = (0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.95)
FACTORS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
"""By which a number of the profile is multiplied."""


def axes(trace: Trace, profile: HardwareProfile) -> dict[str, list[float]]:
    """What can be varied, with sensible values.

    The batch, the skew of the experts' popularity, the share of rows that run, and each number of
    the profile, by its path ("memory.dram.bandwidth"), as a factor.
    """
    redrawn_by = {MECHANISMS[site.mechanism].redrawn_by for site in trace.sites}
    batches = powers(_largest_batch(trace))
    values = {BATCH: [float(batch) for batch in batches]}
    if SKEW in redrawn_by:
        values[SKEW] = list(SKEWS)
    if SHARE in redrawn_by:
        values[SHARE] = list(SHARES)
    for path in _numbers(profile.model_dump()):
        values[path] = list(FACTORS)
    return values


def _largest_batch(trace: Trace) -> int:
    """Units of the most frequent size in the first phase of the trace.

    Raises CondsimError where no unit decided anything.
    """
    trace.require_decisions()
    phases = trace.steps["phase"]
    in_first_phase = trace.steps[phases == phases.iloc[0]]
    units_of_size = in_first_phase.groupby(["seq", "past"])["units"].sum()
    return int(units_of_size.max())


def _numbers(data: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Paths of the numbers in a profile's fields."""
    for name, value in data.items():
        if not isinstance(value, Mapping):
            continue
        if "basis" in value and "value" in value:
            yield prefix + name
        else:
            yield from _numbers(value, f"{prefix}{name}.")


def grid(
    trace: Trace,
    profile: HardwareProfile | str | None,
    x: str,
    xs: Sequence[float],
    y: str | None = None,
    ys: Sequence[float] = (),
    **options: Any,
) -> Iterator[dict[str, Any]]:
    """Simulate every point of a grid, one row at a time.

    x, y: names of `axes`; y None: a line. xs, ys: values on them. options: of `condsim.simulate`.
    Yields x, y, speedup, low, high, verdict, latency_s and baseline_s; only x, y and error where a
    point cannot be simulated. Raises CondsimError for an unknown axis, and for a trace without
    programs or decisions.
    """
    trace.require_programs()
    device = resolve_profile(trace, profile)
    _check_axes(axes(trace, device), x, y)
    traces = _RedrawnTraces(trace)
    for y_value in [None] if y is None else ys:
        for x_value in xs:
            point = {x: float(x_value)}
            if y is not None and y_value is not None:
                point[y] = float(y_value)
            row = {"x": float(x_value), "y": None if y_value is None else float(y_value)}
            yield row | _simulate_point(traces, device, point, options)


def _check_axes(known: Mapping[str, Sequence[float]], x: str, y: str | None) -> None:
    for axis in (x, y):
        if axis is not None and axis not in known:
            raise unknown("axis", axis, known)
    if x == y:
        raise CondsimError(f"both axes are {x!r}; choose two")


class _RedrawnTraces:
    """A trace at several skews and shares, each drawn once."""

    def __init__(self, trace: Trace) -> None:
        self._traces: dict[tuple[float | None, float | None], Trace] = {(None, None): trace}

    def at(self, skew: float | None, share: float | None) -> Trace:
        """The trace at a skew and share; None: as captured."""
        if (skew, share) not in self._traces:
            captured = self._traces[None, None]
            self._traces[skew, share] = redrawn(captured, skew, share)
        return self._traces[skew, share]


def _simulate_point(
    traces: _RedrawnTraces,
    device: HardwareProfile,
    point: Mapping[str, float],
    options: Mapping[str, Any],
) -> dict[str, Any]:
    """Simulate one point. point: axis → value."""
    given = dict(options)
    if BATCH in point:
        given["batch"] = round(point[BATCH])
    try:
        trace = traces.at(point.get(SKEW), point.get(SHARE))
        prediction = simulate(trace, _scaled(device, point), **given)
    except CondsimError as error:
        return {"error": str(error)}
    low, high = prediction.speedup_interval
    return {
        "speedup": prediction.speedup,
        "low": low,
        "high": high,
        "verdict": prediction.verdict,
        "latency_s": prediction.latency_s,
        "baseline_s": prediction.baseline_s,
    }


def _scaled(device: HardwareProfile, point: Mapping[str, float]) -> HardwareProfile:
    """The profile with each number that a point names multiplied by its factor."""
    fields = device.model_dump()
    changed = {}
    for path, factor in point.items():
        if path not in (BATCH, SKEW, SHARE) and factor != 1.0:
            changed[path] = _times(fields, path, factor)
    return device.replace(**changed) if changed else device


def _times(fields: Mapping[str, Any], path: str, factor: float) -> Quantity:
    """The number at a path of a profile's fields, `factor` times as large, as an estimate."""
    number: Any = fields
    for name in path.split("."):
        number = number[name]
    return Quantity(
        value=number["value"] * factor,
        basis="estimated",
        source=f"what if x{factor:g}",
        uncertainty=number["uncertainty"] or 0.0,
    )


def crossings(points: pd.DataFrame, level: float = 1.0) -> pd.DataFrame:
    """Where the speedup crosses `level` along x, for each y.

    points: rows of `grid`. Returns a row a crossing: y, x, and in "what" whether it starts or stops
    to pay there. Between two points the logarithm of the speedup is taken as linear in log x, or in
    x where x is 0.
    """
    rows = []
    for y, line in _lines(points):
        x = line["x"].to_numpy(float)
        speedup = line["speedup"].to_numpy(float)
        log_speedup = np.log(speedup / level)
        pays = log_speedup > 0
        for i in np.flatnonzero(pays[1:] != pays[:-1]):
            before, after = log_speedup[i], log_speedup[i + 1]
            part = before / (before - after)
            crossing = _between(x[i], x[i + 1], part)
            what = "starts to pay" if after > before else "stops to pay"
            rows.append({"y": y, "x": crossing, "what": what})
    return pd.DataFrame(rows, columns=["y", "x", "what"])


def _lines(points: pd.DataFrame) -> Iterator[tuple[Any, pd.DataFrame]]:
    """Each y (None where there is one axis) with its points that were simulated, in order of x."""
    if "speedup" not in points:
        return
    simulated = points.dropna(subset=["speedup"])
    has_y = simulated["y"].notna()
    y_or_none = simulated["y"].astype(object).where(has_y, None)
    for y, line in simulated.groupby(y_or_none, dropna=False, sort=False):
        yield y, line.sort_values("x")


def _between(start: float, end: float, part: float) -> float:
    """The point that is `part` (0 to 1) of the way from start to end, in logarithms if above 0."""
    if start > 0:
        log_step = part * math.log(end / start)
        return math.exp(math.log(start) + log_step)
    return start + part * (end - start)
