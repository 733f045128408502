"""Claims: which point answers, and when it is reached."""

from __future__ import annotations

import pandas as pd
import pytest

from condsim.decide.frontier.claim import CLOSE, MISSED, REACHED, UNKNOWN, claim_of
from condsim.decide.frontier.points import COLUMNS
from condsim.hardware import hardware

DEVICE = hardware("raspberry-pi-5")


def points(*rows: dict[str, object]) -> pd.DataFrame:
    usual = {"batch": 32, "latency_s": 1.0, "equal": True, "role": "setting"}
    usual |= {"measured_speed": None}
    return pd.DataFrame([usual | row for row in rows], columns=COLUMNS)


def row(point: str, speed: float, spread: float = 0.0, **more: object) -> dict[str, object]:
    ends = {"low": speed - spread, "high": speed + spread}
    return {"point": point, "speed": speed, **ends, **more}


@pytest.mark.parametrize(
    ("speed", "spread", "measured", "verdict"),
    [
        (1.5, 0.1, None, REACHED),
        (1.5, 0.3, None, CLOSE),
        (1.1, 0.1, None, MISSED),
        (1.5, 0.3, 1.31, REACHED),
        (1.5, 0.1, 1.2, MISSED),
    ],
)
def test_a_measurement_counts_before_an_interval(
    speed: float, spread: float, measured: float | None, verdict: str
) -> None:
    claim = claim_of(points(row("a", speed, spread, measured_speed=measured)), DEVICE, 32, 1.3)
    assert claim.verdict == verdict
    assert claim.reached == ((measured or speed) >= 1.3)


def test_only_points_as_good_count_and_timed_ones_first() -> None:
    table = points(
        row("bad", 9.0, equal=False),
        row("fast", 2.0),
        row("timed", 1.5, measured_speed=1.4),
        row("small", 3.0, role="rival"),
    )
    claim = claim_of(table, DEVICE, 32, 1.3)
    assert (claim.point, claim.measured_speed) == ("timed", 1.4)
    assert (claim.rival, claim.rival_speed) == ("small", 3.0)
    assert claim.to_dict()["reached"] is True


def test_no_point_that_is_as_good() -> None:
    claim = claim_of(points(row("bad", 9.0, equal=False)), DEVICE, 32, 1.3)
    assert (claim.verdict, claim.point, claim.reached) == (MISSED, "", False)
    unpriced = points(row("a", 1.0, latency_s=None))
    assert claim_of(unpriced, DEVICE, 32, 1.3).verdict == UNKNOWN
