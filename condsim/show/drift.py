"""Drift for a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from condsim.predict.verdict import PAYS
from condsim.show.tables import Column, Listing
from condsim.show.text import number, percent, seconds, times

if TYPE_CHECKING:
    import pandas as pd

    from condsim.decide.drift.drift import Drift

MOST_ALARMS = 20
OWN_TIMES = 3
"""Times as many alarms of a trace's own windows as were asked for, from which on that is said."""


def drift_lines(found: Drift) -> Iterator[Text | Table]:
    """What moved, whether that can be chance, and what it costs."""
    style = "bold yellow" if found.drifted else "bold green"
    yield Text(headline(found), style)
    yield sites_listing(found.sites).for_terminal()
    yield Text("\n" + new_territory_line(found.new, found.word))
    yield Text(noise_line(found))
    if found.seconds is not None:
        yield Text(f"\nin seconds a step, on {found.profile}", "bold")
        yield seconds_listing(found.seconds).for_terminal()
        yield Text(decision_line(found))
    elif found.why_no_seconds:
        yield Text(f"no seconds: {found.why_no_seconds}")
    if found.windows is not None:
        yield Text("\n" + stream_line(found.windows, found.word))
        if found.own_alarms is not None and found.every is not None:
            yield Text(own_alarms_line(found.own_alarms, found.every, found.word))


def headline(found: Drift) -> str:
    """Whether the routing has moved, in one sentence."""
    moved = found.moved
    first, second = found.units
    of = f"{first:,} and {second:,} {found.word}s"
    distance = percent(moved.distance, sign=False)
    chance = percent(moved.by_chance, sign=False)
    test = f"p {moved.p:.3f}, whole {found.word}s permuted"
    if found.drifted:
        return f"Drift: {distance} of the assignments moved, {chance} by chance ({test}; {of})."
    if moved.p <= found.level:
        noise = percent(found.noise_distance, sign=False)
        return f"No drift beyond noise: {distance} moved, capturing twice moves {noise} ({test})."
    return f"No drift beyond chance: {distance} moved, {chance} by chance ({test}; {of})."


def sites_listing(sites: pd.DataFrame) -> Listing:
    """What moved, by site. sites: of `Drift`."""
    columns = [
        Column("site", "site"),
        Column("moved", "distance", lambda value: percent(value, sign=False), right=True),
        Column("by chance", "by_chance", lambda value: percent(value, sign=False), right=True),
        Column("p", "p", _probability, right=True),
        Column("p of all sites", "p_holm", _probability, right=True),
        Column("busiest / mean", "busiest", right=True),
        Column("branches, as if alike", "effective", right=True),
        Column("JS, bits", "jensen_shannon", number, right=True),
    ]
    return Listing(columns, [_site_row(row) for row in sites.to_dict("records")])


def _probability(value: float) -> str:
    return f"{value:.3f}"


def _site_row(row: dict[Any, Any]) -> dict[Any, Any]:
    busiest = f"{number(row['busiest_a'])} → {number(row['busiest_b'])}"
    effective = f"{number(row['effective_a'])} → {number(row['effective_b'])}"
    return row | {"busiest": busiest, "effective": effective}


def new_territory_line(new: pd.DataFrame, word: str) -> str:
    """How much of the second trace the first has never done."""
    parts = []
    for kind, rows in new.groupby("kind", sort=False):
        worst = rows.sort_values("tested_mass", kind="stable").to_dict("records")[0]
        untested = percent(1 - worst["tested_mass"], sign=False)
        parts.append(f"{kind} {untested} ({worst['untested']:,} new)")
    return "new territory, the site with the most of it: " + ", ".join(parts)


def noise_line(found: Drift) -> str:
    """What capturing twice does."""
    if found.noise is None:
        return "noise floor: not known; capture the same inputs twice and name them with --again"
    flips = percent(float(found.noise["flips"].max()), sign=False)
    distance = percent(found.noise_distance, sign=False)
    return (
        f"noise floor: two captures of the same inputs decide otherwise in {flips} of the branches "
        f"of a row, and move {distance} of the assignments"
    )


def seconds_listing(of_both: pd.DataFrame) -> Listing:
    """What both traces cost, by strategy. of_both: seconds of `Drift`."""
    columns = [
        Column("strategy", "strategy"),
        Column("first", "latency_a_s", seconds, right=True),
        Column("second", "latency_b_s", seconds, right=True),
        Column("change", "change", percent, right=True),
        Column("speedup", "speedups", right=True),
        Column("verdict", "verdicts"),
    ]
    return Listing(columns, [_seconds_row(row) for row in of_both.to_dict("records")])


def _seconds_row(row: dict[Any, Any]) -> dict[Any, Any]:
    if isinstance(row["error"], str):
        return row | {"speedups": "", "verdicts": row["error"]}
    speedups = f"{times(row['speedup_a'])} → {times(row['speedup_b'])}"
    before, after = PAYS[row["verdict_a"]], PAYS[row["verdict_b"]]
    verdicts = f"{before} → {after}" if row["flips"] else before
    return row | {"speedups": speedups, "verdicts": verdicts}


def decision_line(found: Drift) -> str:
    """Whether a decision flips."""
    before, after = found.best
    verdict = "some verdict flips" if found.verdict_flips else "no verdict flips"
    if before == after:
        return f"{verdict}; {before} stays the fastest strategy"
    return f"{verdict}; the fastest strategy was {before} and is {after}"


def stream_line(windows: pd.DataFrame, word: str) -> str:
    """Which windows of a stream raised an alarm."""
    alarms = windows[windows["alarm"]]
    if alarms.empty:
        return f"stream: no alarm in {len(windows)} windows"
    listed = ", ".join(str(number) for number in alarms["window"].head(MOST_ALARMS))
    more = "" if len(alarms) <= MOST_ALARMS else ", ..."
    first = alarms.iloc[0]
    return (
        f"stream: {len(alarms)} of {len(windows)} windows raise an alarm ({listed}{more}); the "
        f"first holds {word}s {first['first']} to {first['last']}"
    )


def own_alarms_line(share: float, every: int, word: str) -> str:
    """Whether the reference is one that alarms can be counted against."""
    said = (
        f"of the first trace's own windows, {share:.0%} would raise an alarm, {1 / every:.0%} asked"
    )
    if share <= OWN_TIMES / every:
        return said
    return (
        f"{said}: {word}s that follow each other are alike there, so alarms come more often than "
        "asked for; take longer windows, or a first trace in the mixture that arrives"
    )
