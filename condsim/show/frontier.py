"""The frontier for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd
from rich.table import Table
from rich.text import Text

from condsim.show.tables import Column, table_of
from condsim.show.text import interval, number, seconds, times

if TYPE_CHECKING:
    from condsim.decide.frontier.claim import Claim
    from condsim.decide.frontier.frontier import Frontier

REACHED, CLOSE, MISSED = "reached", "too close to call", "not reached"
KINDS = {"cpu": "CPU", "gpu": "GPU", "tpu": "TPU", "npu": "NPU"}
NAMED = 3
"""Devices of one verdict that a sentence names."""


def sentence(found: Frontier) -> str:
    """The answer to "so much faster at equal quality", for every batch that was asked about."""
    batches = dict.fromkeys(claim.batch for claim in found.claims if claim.batch is not None)
    parts = [_of_batch(found, batch) for batch in batches]
    faster = f"{found.target - 1:.0%} faster" if found.target > 1 else f"{found.target:g}x"
    equal = (
        f"at equal {found.quality_name} (at most {found.tolerance:.1%} worse than "
        f"{found.reference})"
    )
    return f"{faster} {equal}: {'; '.join(parts)}."


def _of_batch(found: Frontier, batch: int | None) -> str:
    claims = [claim for claim in found.claims if claim.batch == batch]
    said = []
    for verdict in (REACHED, CLOSE, MISSED):
        of_verdict = [claim for claim in claims if claim.verdict == verdict]
        if of_verdict:
            said.append(f"{verdict} {_devices(of_verdict, verdict, claims)}")
    return f"at batch {batch}, {', '.join(said)}"


def _devices(claims: Sequence[Claim], verdict: str, all_claims: Sequence[Claim]) -> str:
    """Where a verdict holds: the first devices with their speeds, or whole kinds."""
    if verdict == REACHED or len(claims) <= NAMED:
        named = [_named(claim) for claim in claims[:NAMED]]
        more = len(claims) - len(named)
        return ", ".join(named) + (f" and on {more} more" if more else "")
    kinds = dict.fromkeys(claim.kind for claim in claims)
    words = []
    for kind in kinds:
        name = KINDS.get(kind, kind)
        of_kind = [claim for claim in claims if claim.kind == kind]
        every = sum(claim.kind == kind for claim in all_claims)
        if len(of_kind) == every:
            words.append(f"any {name}" if verdict == MISSED else f"every {name}")
        else:
            words.append(f"{len(of_kind)} of {every} {name}s")
    return "on " + ", ".join(words)


def _named(claim: Claim) -> str:
    if not claim.point:
        return f"on {claim.profile} at no setting"
    predicted = f"predicted {_times(claim.speed)}"
    if claim.measured_speed is not None:
        predicted = f"measured {_times(claim.measured_speed)}, {predicted}"
    at = claim.point if claim.point.startswith("as ") else f"at {claim.point}"
    return f"{at} on {claim.profile} ({predicted})"


def rival_sentence(found: Frontier) -> str:
    """Whether a smaller dense network is the better way to save; "" where no rival is known."""
    rivals = found.points[found.points["role"] == "rival"]
    if rivals.empty:
        return ""
    priced = [claim for claim in found.claims if claim.speed or claim.rival_speed]
    beaten = [claim for claim in priced if (claim.rival_speed or 0) > (claim.speed or 0)]
    if not beaten:
        return (
            f"No dense network that was trained the same way is as good and faster on any of "
            f"{len(priced)} devices."
        )
    first = beaten[0]
    return (
        f"A smaller dense network that was trained the same way is as good and predicted faster "
        f"on {len(beaten)} of {len(priced)} devices ({first.rival} on {first.profile}: "
        f"{_times(first.rival_speed)} where the best setting has {_times(first.speed)})."
    )


def frontier_lines(found: Frontier) -> Iterator[Text | Table]:
    """Every point on the first device, the claim on every device, and the answer."""
    first = found.points[["profile", "batch"]].dropna().iloc[0]
    yield Text(f"{found.trace} on {first['profile']}, batch {first['batch']:.0f}", "bold")
    yield points_table(found)
    yield Text("\non every device", "bold")
    yield claims_table(found)
    yield Text("\n" + found.sentence, "bold")
    rival = rival_sentence(found)
    if rival:
        yield Text(rival)
    for note in found.notes:
        yield Text(f"note: {note}")


def points_table(found: Frontier) -> Table:
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
    return table_of(columns, [_point_row(row) for row in here.to_dict("records")])


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
