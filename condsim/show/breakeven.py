"""A break-even in words: where it pays, by the same intervals as the verdict of one scenario."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from condsim.show.text import times
from condsim.study.breakeven import zones

PAYS = {
    "faster": "pays",
    "too close to call": "is too close to call",
    "slower": "does not pay",
}
"""Verdict → what it says of a point."""
NOWHERE = {"slower": "It pays nowhere"}
"""Verdict → what it says where all points have it, if not what it says of a point."""
MOST_ZONES = 5
"""So many zones of a line are told one by one."""


def where_it_pays(points: pd.DataFrame, along: str, asked: int) -> str:
    """Where it pays, in one sentence.

    points: rows of `condsim.study.breakeven.grid` that were simulated. along: what varies along x,
    for a person. asked: how many points there will be.
    """
    simulated = len(points)
    done = f"{simulated} of {asked} points"
    verdicts = points["verdict"].unique()
    if len(verdicts) == 1:
        everywhere = NOWHERE.get(verdicts[0], f"It {PAYS[verdicts[0]]} everywhere")
        return f"{everywhere} on this {_shape(points)} ({done})."
    table = zones(points)
    if _shape(points) == "map" or len(table) > MOST_ZONES:
        of = f"{simulated} points" if simulated == asked else done
        return f"Of {of} it {_counted(points)}."
    told = ", ".join(_zone(zone) for zone in table.to_dict("records"))
    more = "" if simulated == asked else f" ({done})"
    return f"By {along}: it {told}{more}."


def _shape(points: pd.DataFrame) -> str:
    return "line" if points["y"].isna().all() else "map"


def _counted(points: pd.DataFrame) -> str:
    """How many points say what: "pays at 3, is too close to call at 1"."""
    counts = points["verdict"].value_counts()
    return ", ".join(f"{PAYS[name]} at {counts[name]}" for name in PAYS if name in counts)


def _zone(zone: Mapping[Any, Any]) -> str:
    """One zone: "pays from 4 to 64". zone: a row of `condsim.study.breakeven.zones`."""
    says = PAYS[zone["verdict"]]
    first, last = f"{zone['first']:g}", f"{zone['last']:g}"
    return f"{says} at {first}" if first == last else f"{says} from {first} to {last}"


def without_effect_line(points: pd.DataFrame, names: Sequence[str]) -> str:
    """That what was varied has no effect. names: of what was varied, for a person."""
    varied = " and ".join(names)
    verb = "has" if len(names) == 1 else "have"
    speedups = points["speedup"].round(3).unique()
    stays = f"; the speedup stays {times(speedups[0])}" if len(speedups) == 1 else ""
    return f"{varied} {verb} no effect here: nothing of this prediction rests on it{stays}."
