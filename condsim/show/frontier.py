"""The frontier for a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pandas as pd
from rich.table import Table
from rich.text import Text

from condsim.show.tables import Column, Listing, table_of
from condsim.show.text import interval, number, seconds, times

if TYPE_CHECKING:
    from condsim.decide.frontier.claim import Claim
    from condsim.decide.frontier.frontier import Frontier


def frontier_lines(found: Frontier) -> Iterator[Text | Table]:
    """Every point on the first device, the claim on every device, and the answer."""
    first = found.points[["profile", "batch"]].dropna().iloc[0]
    yield Text(f"{found.trace} on {first['profile']}, batch {first['batch']:.0f}", "bold")
    yield points_listing(found).for_terminal()
    yield Text("\non every device", "bold")
    yield claims_table(found)
    yield Text("\n" + found.sentence, "bold")
    if found.rival_sentence:
        yield Text(found.rival_sentence)
    for note in found.notes:
        yield Text(f"note: {note}")


def points_listing(found: Frontier) -> Listing:
    """The points on the first device and batch."""
    points = found.points
    priced = points[points["batch"].notna()]
    first = priced.iloc[0]
    here = points[points["profile"] == first["profile"]]
    here = here[(here["batch"] == first["batch"]) | here["batch"].isna()]
    columns = [
        Column("", "point"),
        Column(found.quality_name, "quality", right=True),
        Column("worse by", "loss", right=True),
        Column("as good", "equal"),
        Column("strategy", "strategy"),
        Column("a step", "latency", right=True),
        Column("speed", "speed", right=True),
        Column("90 % interval", "interval", right=True),
        Column("measured", "measured", right=True),
        Column("on the front", "front"),
    ]
    return Listing(columns, [_point_row(row) for row in here.to_dict("records")])


def _point_row(row: dict[Any, Any]) -> dict[str, Any]:
    shown = dict.fromkeys(("strategy", "latency", "speed", "interval", "measured"), "")
    shown |= {
        "point": row["point"],
        "quality": number(row["quality"]),
        "loss": f"{row['loss']:+.1%}",
        "equal": "yes" if row["equal"] else "",
        "front": "yes" if row["on_front"] else "",
    }
    if pd.isna(row["latency_s"]):
        return shown | {"strategy": row["error"]}
    exact = row["low"] == row["high"]
    return shown | {
        "strategy": row["strategy"],
        "latency": seconds(row["latency_s"]),
        "speed": _times(row["speed"]),
        "interval": "" if exact else interval((row["low"], row["high"])),
        "measured": _times(row["measured_speed"]),
    }


def claims_table(found: Frontier) -> Table:
    """What every device says of the claim."""
    columns = [
        Column("device", "profile"),
        Column("batch", "batch", right=True),
        Column(f"{found.target:g}x", "verdict"),
        Column("at", "point"),
        Column("predicted", "speed", right=True),
        Column("90 % interval", "interval", right=True),
        Column("measured", "measured", right=True),
        Column("dense rival", "rival"),
        Column("its speed", "rival_speed", right=True),
    ]
    return table_of(columns, [_claim_row(claim) for claim in found.claims])


def _claim_row(claim: Claim) -> dict[str, Any]:
    return {
        "profile": claim.profile,
        "batch": str(claim.batch or ""),
        "verdict": claim.verdict,
        "point": claim.point,
        "speed": _times(claim.speed),
        "interval": _claimed_interval(claim),
        "measured": _times(claim.measured_speed),
        "rival": claim.rival,
        "rival_speed": _times(claim.rival_speed),
    }


def _claimed_interval(claim: Claim) -> str:
    if claim.low is None or claim.high is None:
        return ""
    return interval((claim.low, claim.high))


def _times(speed: float | None) -> str:
    return "" if speed is None or pd.isna(speed) else times(speed)
