"""Whether a promised speed is reached at equal quality, on one device."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from condsim.decide.frontier.points import RIVAL, SETTING
from condsim.hardware import HardwareProfile

REACHED, CLOSE, MISSED, UNKNOWN = "reached", "too close to call", "not reached", "not known"
"""Verdicts: by the interval of the speed, or that nothing could be priced."""


@dataclass(frozen=True)
class Claim:
    """What a device says of "so much faster at equal quality".

    point: the fastest setting that is as good as the reference, of those that were timed here where
    any was; "" where none is as good. speed, low, high: of it over the reference. measured_speed:
    as it was timed, None where it was not. verdict: by the measurement, else by the interval.
    rival: the fastest dense rival that is as good; "" where none is.
    """

    profile: str
    kind: str
    batch: int | None
    target: float
    verdict: str
    point: str = ""
    speed: float | None = None
    low: float | None = None
    high: float | None = None
    measured_speed: float | None = None
    rival: str = ""
    rival_speed: float | None = None

    @property
    def reached(self) -> bool:
        """Whether the measured speed, else the predicted one, is at least the target."""
        speed = self.speed if self.measured_speed is None else self.measured_speed
        return speed is not None and speed >= self.target

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {**vars(self), "reached": self.reached}


def claim_of(
    table: pd.DataFrame, profile: HardwareProfile, batch: int | None, target: float
) -> Claim:
    """Return what the points of one device and batch say of a target.

    table: of `condsim.decide.frontier.points.points_on`.
    """
    known = table[table["latency_s"].notna()]
    if known.empty:
        return Claim(profile.name, profile.kind, batch, target, UNKNOWN)
    as_good = known[known["equal"].astype(bool)]
    settings = as_good[as_good["role"] == SETTING]
    timed = settings[settings["measured_speed"].notna()]
    candidates = settings if timed.empty else timed
    best = _fastest(candidates)
    rival = _fastest(as_good[as_good["role"] == RIVAL])
    size = int(known["batch"].iloc[0])
    claim = Claim(profile.name, profile.kind, size, target, MISSED)
    if rival is not None:
        claim = replace(claim, rival=str(rival["point"]), rival_speed=float(rival["speed"]))
    if best is None:
        return claim
    measured = best["measured_speed"]
    return replace(
        claim,
        verdict=_verdict(best, target),
        point=str(best["point"]),
        speed=float(best["speed"]),
        low=float(best["low"]),
        high=float(best["high"]),
        measured_speed=None if pd.isna(measured) else float(measured),
    )


def _fastest(points: pd.DataFrame) -> pd.Series | None:
    if points.empty:
        return None
    fastest_first = points.astype({"speed": float}).sort_values("speed", ascending=False)
    return fastest_first.iloc[0]


def _verdict(best: pd.Series, target: float) -> str:
    measured = best["measured_speed"]
    if not pd.isna(measured):
        return REACHED if measured >= target else MISSED
    if best["low"] > target:
        return REACHED
    return MISSED if best["high"] < target else CLOSE
