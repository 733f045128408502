"""The nearest value at which the verdict changes, of batch, routing, bandwidth and context."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from condsim.decide.advise.here import share_of, skew_of
from condsim.decide.points import Said, predict_points
from condsim.decide.subject import CONTEXT, SHARE, SKEW, Asked, Subject, TraceSubject
from condsim.hardware import HardwareProfile
from condsim.predict.prediction import Prediction
from condsim.predict.verdict import verdict_of
from condsim.study.breakeven import SHARES, SKEWS
from condsim.study.what_if import scaled

COLUMNS = [
    "axis", "here", "verdict", "at", "to", "before", "speedup", "low", "high",
    "crosses", "crosses_low", "crosses_high", "first", "last", "says",
]  # fmt: skip
POINT = ["value", "error", "speedup", "low", "high", "latency_s", "baseline_s", "verdict"]
FACTORS = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""By which the bandwidth of the largest memory is multiplied."""
CONTEXTS = tuple(2**power for power in range(8, 18, 2))
BISECTIONS = 4
NO_EFFECT = "nothing of this prediction rests on it"


@dataclass(frozen=True)
class Line:
    """An axis and where one stands on it.

    path: of the axis. values: in rising order; `here` is among them. whole: whether only
    whole numbers are possible. doubles: whether distances are ratios. of_device: whether it is a
    number of the device, as a factor.
    """

    name: str
    path: str
    here: float
    values: tuple[float, ...]
    whole: bool = False
    doubles: bool = True
    of_device: bool = False

    def distance(self, value: float) -> float:
        """Return how far a value is from here."""
        there, here = self.place(value), self.place(self.here)
        return abs(there - here)

    def place(self, value: float) -> float:
        """Return where a value stands."""
        return math.log(value) if self.doubles else value

    def between(self, one: float, other: float) -> float | None:
        """Return a value between two; None where there is none."""
        middle = (self.place(one) + self.place(other)) / 2
        value = math.exp(middle) if self.doubles else middle
        if self.whole:
            value = float(round(value))
        return None if value in (one, other) else value


def lines_of(
    subject: Subject, profile: HardwareProfile, asked: Asked, now: Prediction
) -> Iterator[Line]:
    """Return the axes along which a verdict can flip."""
    batches = subject.batches(now.phase)
    yield _line("batch", "batch", now.batch, batches, whole=True)
    if isinstance(subject, TraceSubject):
        if SKEW in subject.axes:
            here = asked.get(SKEW, skew_of(subject.captured))
            yield _line(SKEW, SKEW, here, SKEWS, doubles=False)
        if SHARE in subject.axes:
            here = asked.get(SHARE, share_of(subject.captured))
            yield _line(SHARE, SHARE, here, SHARES, doubles=False)
    if CONTEXT in subject.varies:
        yield _line(CONTEXT, CONTEXT, asked.get(CONTEXT, 4096), CONTEXTS, whole=True)
    level = next(name for name, memory in profile.memory.items() if memory is profile.dram)
    yield _line("bandwidth", f"memory.{level}.bandwidth", 1.0, FACTORS, of_device=True)


def _line(name: str, path: str, here: float, values: Sequence[float], **how: bool) -> Line:
    here = float(here)
    known = sorted({*map(float, values), here})
    return Line(name, path, here, tuple(known), **how)


def flips(
    subject: Subject,
    profile: HardwareProfile,
    asked: Asked,
    now: Prediction,
    threshold: float = 1.0,
    told: Callable[[str], None] = lambda _name: None,
) -> pd.DataFrame:
    """Return where the verdict changes along each axis, all else alike: a row an axis.

    axis, here: where one stands (skew and share: of the captured routing; bandwidth: as a factor).
    verdict: there. at: the nearest value with another one, `to`, found by bisection between it and
    `before`, which has the verdict of here; NaN where there is none from first to last. speedup,
    low, high: at it. crosses: where the speedup itself crosses the threshold, interpolated, and
    crosses_low ... crosses_high, where the ends of its interval do: NaN beyond first and last.
    says: in words where there is no flip. told: is called with the name of each axis.
    """
    rows = []
    for line in lines_of(subject, profile, asked, now):
        told(line.name)
        rows.append(flip_of(subject, profile, asked, now, line, threshold))
    return pd.DataFrame(rows, columns=COLUMNS)


def flip_of(
    subject: Subject,
    profile: HardwareProfile,
    asked: Asked,
    now: Prediction,
    line: Line,
    threshold: float = 1.0,
) -> dict[str, Any]:
    """Return where the verdict changes along one axis: a row of `flips`."""
    empty = dict.fromkeys(COLUMNS, math.nan)
    return empty | _Search(subject, profile, asked, now, line, threshold).row()


def _around(crossing: float, one: float, other: float) -> tuple[float, float]:
    """Where the ends of an interval cross, the lower place first; NaN where one never does."""
    found = sorted(end for end in (one, other) if not math.isnan(end))
    if not found:
        return math.nan, math.nan
    first = found[0]
    if len(found) == 2:
        return first, found[1]
    if first >= crossing:
        return math.nan, first
    return first, math.nan


@dataclass(frozen=True)
class _Search:
    """The search along one axis."""

    subject: Subject
    profile: HardwareProfile
    asked: Asked
    now: Prediction
    line: Line
    threshold: float

    def row(self) -> dict[str, Any]:
        """A row of `flips`, as far as it says something."""
        line = self.line
        points = self._points(line.values)
        simulated = points[points["error"].isna()]
        row: dict[str, Any] = {"axis": line.name, "here": line.here}
        row |= {"first": line.values[0], "last": line.values[-1]}
        here = simulated[simulated["value"] == line.here]
        if here.empty:
            errors = points["error"].dropna()
            return row | {"says": str(errors.iloc[0])}
        verdict = here["verdict"].iloc[0]
        row["verdict"] = verdict
        different = simulated[["latency_s", "baseline_s"]].nunique()
        if len(simulated) > 1 and (different == 1).all():
            return row | {"says": NO_EFFECT}
        row |= self._crossing(simulated)
        if (simulated["verdict"] == verdict).all():
            values = simulated["value"]
            first, last = values.iloc[0], values.iloc[-1]
            return row | {"says": f"stays so from {first:g} to {last:g}"}
        return row | self._nearest(simulated, verdict)

    def _points(self, values: Sequence[float]) -> pd.DataFrame:
        """What is predicted at values of the axis."""
        rows = []
        for value, said in zip(values, self._said(values), strict=True):
            row: dict[str, Any] = {"value": float(value), "error": None}
            if isinstance(said, Prediction):
                low, high = said.speedup_interval
                row |= {"speedup": said.speedup, "low": low, "high": high}
                row |= {"latency_s": said.latency_s, "baseline_s": said.baseline_s}
                row["verdict"] = verdict_of((low, high), self.threshold)
            else:
                row["error"] = str(said)
            rows.append(row)
        return pd.DataFrame(rows, columns=POINT)

    def _said(self, values: Sequence[float]) -> list[Said]:
        line = self.line
        asked = {"strategy": self.now.strategy, **self.asked}
        if line.of_device:
            devices = [scaled(self.profile, {line.path: value}) for value in values]
            return [predict_points(self.subject, device, [asked])[0] for device in devices]
        whole = [int(value) if line.whole else value for value in values]
        points = [asked | {line.path: value} for value in whole]
        return predict_points(self.subject, self.profile, points)

    def _nearest(self, simulated: pd.DataFrame, verdict: str) -> dict[str, Any]:
        """The nearest value with another verdict."""
        line = self.line
        ordered = simulated.assign(distance=simulated["value"].map(line.distance))
        points = ordered.sort_values("distance", kind="stable").to_dict("records")
        found = next(point for point in points if point["verdict"] != verdict)
        before = self._last_before(points, found, verdict)
        for _ in range(BISECTIONS):
            middle = line.between(before, found["value"])
            if middle is None:
                break
            (point,) = self._points([middle]).to_dict("records")
            if isinstance(point["error"], str):
                break
            if point["verdict"] == verdict:
                before = middle
            else:
                found = point
        same = {name: found[name] for name in ("speedup", "low", "high")}
        return {"at": found["value"], "to": found["verdict"], "before": before, **same}

    def _last_before(
        self, points: list[dict[Any, Any]], found: dict[Any, Any], verdict: str
    ) -> float:
        """The value next to a found one, on the way there, that has the verdict of here."""
        line = self.line
        way = found["value"] - line.here
        on_the_way = []
        for point in points:
            value = point["value"]
            is_nearer = line.distance(value) < found["distance"]
            same_way = (value - line.here) * way >= 0
            if point["verdict"] == verdict and is_nearer and same_way:
                on_the_way.append(value)
        return float(max(on_the_way, key=line.distance))

    def _crossing(self, simulated: pd.DataFrame) -> dict[str, float]:
        """Where the speedup and the ends of its interval cross the threshold, nearest to here."""
        crosses = self._crosses(simulated, "speedup")
        of_low = self._crosses(simulated, "low")
        of_high = self._crosses(simulated, "high")
        low, high = _around(crosses, of_low, of_high)
        return {"crosses": crosses, "crosses_low": low, "crosses_high": high}

    def _crosses(self, simulated: pd.DataFrame, column: str) -> float:
        """Where a column crosses the threshold, by linear interpolation of its logarithm."""
        line = self.line
        places = [line.place(value) for value in simulated["value"]]
        above = np.log(simulated[column].to_numpy(float) / self.threshold)
        found = math.nan
        ends = itertools.pairwise(zip(places, above, strict=True))
        for (left, left_above), (right, right_above) in ends:
            if left_above * right_above > 0 or left_above == right_above:
                continue
            share = left_above / (left_above - right_above)
            at = left + share * (right - left)
            value = math.exp(at) if line.doubles else float(at)
            if math.isnan(found) or line.distance(value) < line.distance(found):
                found = value
        return found
