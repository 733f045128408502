"""When conditional computation starts, or stops, to pay.

One scenario over a grid of one or two axes, and the zones in which it pays or does not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from condsim.errors import CondsimError, shown, unknown
from condsim.hardware import HardwareProfile
from condsim.mechanisms import MECHANISMS
from condsim.predict.simulate import resolve_profile, simulate
from condsim.steps.redraw import redrawn
from condsim.study.routing import powers
from condsim.study.what_if import paths_of_numbers, scaled
from condsim.trace import Trace

BATCH, SKEW, SHARE = "batch", "skew", "share"
"""Axes that are not a number of the profile."""
SKEWS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0)
SHARES = (0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.95)
FACTORS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
"""By which a number of the profile is multiplied."""
SECONDS = ["latency_s", "baseline_s"]
"""Columns of a grid that an axis of any effect changes."""


def axes(trace: Trace, profile: HardwareProfile) -> dict[str, list[float]]:
    """What can be varied, with sensible values.

    The batch, the skew of the experts' popularity, the share of rows that run, and each number of
    the profile, by its path ("memory.dram.bandwidth"), as a factor.
    """
    redrawn_by = {MECHANISMS[site.mechanism].redrawn_by for site in trace.sites}
    batches = powers(largest_batch(trace))
    values = {BATCH: [float(batch) for batch in batches]}
    if SKEW in redrawn_by:
        values[SKEW] = list(SKEWS)
    if SHARE in redrawn_by:
        values[SHARE] = list(SHARES)
    for path in paths_of_numbers(profile):
        values[path] = list(FACTORS)
    return values


def largest_batch(trace: Trace, phase: str | None = None) -> int:
    """Return how many units of the most frequent size a phase has; None: the trace's first.

    Raises CondsimError where no unit decided anything, and for a phase that the trace has not.
    """
    trace.require_decisions()
    phases = trace.steps["phase"]
    of_phase = trace.steps[phases == (phase or phases.iloc[0])]
    if of_phase.empty:
        has = ", ".join(phases.unique())
        raise CondsimError(f"trace {trace.name!r} has no phase {shown(phase)}; it has {has}")
    units_of_size = of_phase.groupby(["seq", "past"])["units"].sum()
    return int(units_of_size.max())


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
    point cannot be simulated. Raises CondsimError for an unknown axis, for a batch that is not
    whole, and for a trace without programs or decisions.
    """
    trace.require_programs()
    device = resolve_profile(trace, profile)
    _check_axes(axes(trace, device), x, y)
    for axis, values in ((x, xs), (y, ys)):
        check_values(axis, values)
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


def check_values(axis: str | None, values: Sequence[float]) -> None:
    """Raises CondsimError for a batch that is not a whole number: a step has no half of a unit."""
    for value in values:
        if axis == BATCH and value != int(value):
            raise CondsimError(f"a batch is a whole number of units, got {value:g}")


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
        given["batch"] = int(point[BATCH])
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
    factors = {path: factor for path, factor in point.items() if path not in (BATCH, SKEW, SHARE)}
    return scaled(device, factors)


def zones(points: pd.DataFrame) -> pd.DataFrame:
    """Where it pays and where it does not: a row a zone, in order of y and x.

    points: rows of `grid`. A zone is of neighbours along x that have one verdict, that of
    `condsim.simulate`: "faster", "slower" or "too close to call". Its columns: y, verdict, first
    and last (of x), and points. What lies between two zones was not simulated.
    """
    rows: list[dict[str, Any]] = []
    for y, line in _lines(points):
        changes = line["verdict"] != line["verdict"].shift()
        for _, zone in line.groupby(changes.cumsum()):
            row = {"y": y, "verdict": zone["verdict"].iloc[0]}
            ends = {"first": zone["x"].iloc[0], "last": zone["x"].iloc[-1]}
            rows.append({**row, **ends, "points": len(zone)})
    return pd.DataFrame(rows, columns=["y", "verdict", "first", "last", "points"])


def without_effect(points: pd.DataFrame) -> list[str]:
    """Which of the axes "x" and "y" change no time at all, on either side.

    points: rows of `grid`. An axis of one value has no effect to show, and is not named.
    """
    if "speedup" not in points:
        return []
    simulated = points.dropna(subset=["speedup"])
    dead = []
    for axis, other in (("x", "y"), ("y", "x")):
        lines = simulated.groupby(other, dropna=False)[SECONDS]
        is_varied = simulated[axis].nunique() > 1
        if is_varied and (lines.nunique() == 1).all(axis=None):
            dead.append(axis)
    return dead


def _lines(points: pd.DataFrame) -> Iterator[tuple[Any, pd.DataFrame]]:
    """Each y (None where there is one axis) with its points that were simulated, in order of x."""
    if "speedup" not in points:
        return
    simulated = points.dropna(subset=["speedup"])
    has_y = simulated["y"].notna()
    y_or_none = simulated["y"].astype(object).where(has_y, None)
    for y, line in simulated.groupby(y_or_none, dropna=False, sort=False):
        yield y, line.sort_values("x")
