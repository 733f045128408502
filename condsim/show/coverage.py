"""Coverage for a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from condsim.show.tables import Column, Listing
from condsim.show.text import number, percent, seconds

if TYPE_CHECKING:
    import pandas as pd

    from condsim.decide.coverage.costs import Costs
    from condsim.decide.coverage.coverage import Coverage
    from condsim.decide.coverage.set_cover import TestSet

LARGE = 1e7
"""A number of things from which on its digits say nothing."""
MOST_UNITS = 40
COST_RANGE = "tenths of the range of cost that there are"


def coverage_lines(seen: Coverage, chosen: TestSet | None, by: str) -> Iterator[Text | Table]:
    """What a trace has seen; the test set that was asked for, by what."""
    yield Text(f"{seen.trace}: {seen.units:,} {seen.word}s, each of which counts once", "bold")
    yield seen_listing(seen.table).for_terminal()
    yield Text(estimate_line(seen))
    if seen.production is not None:
        yield Text("\nof production, this has tested", "bold")
        yield tested_listing(seen.production).for_terminal()
    if seen.costs is not None:
        yield Text("\n" + cost_line(seen.costs, seen.word, seen.profile))
    elif seen.why_no_costs:
        yield Text(f"\nno seconds: {seen.why_no_costs}")
    if chosen is not None:
        yield Text("\n" + test_set_line(chosen, by, seen.word))


def seen_listing(table: pd.DataFrame) -> Listing:
    """What was seen, by kind and site. table: of `Coverage`."""
    columns = [
        Column("", "kind"),
        Column("site", "site"),
        Column("seen", "seen", right=True),
        Column("of", "possible", right=True),
        Column("share", "share", right=True),
        Column("unseen mass", "unseen", right=True),
        Column("at least", "at_least", right=True),
        Column("twice as many would show", "more", right=True),
    ]
    return Listing(columns, [_row(row) for row in table.to_dict("records")])


def _row(row: dict[Any, Any]) -> dict[str, Any]:
    doubt = " ?" if row["doubtful"] else ""
    return {
        "kind": row["kind"],
        "site": row["site"],
        "seen": f"{row['seen']:,}",
        "possible": _count(row["possible"]),
        "share": percent(row["share"], sign=False),
        "unseen": percent(row["unseen_mass"], sign=False) + doubt,
        "at_least": _count(row["at_least"]),
        "more": f"{_count(row['new_if_doubled'])} more",
    }


def _count(value: float) -> str:
    return f"{value:.0e}" if value >= LARGE else f"{value:,.0f}"


def estimate_line(seen: Coverage) -> str:
    """What the estimates mean, and whether they can be believed."""
    doubtful = int(seen.table["doubtful"].sum())
    said = f"unseen mass: of what a new {seen.word} does, the estimated share that none here did"
    if doubtful:
        said += (
            f"; ? ({doubtful} rows): it changes where neighbours are joined, so that "
            "they are alike, or too few"
        )
    return said


def tested_listing(production: pd.DataFrame) -> Listing:
    """What share of production was tested. production: of `Coverage`."""
    columns = [
        Column("", "kind"),
        Column("site", "site"),
        Column("tested", "tested", right=True),
        Column("90 % interval", "interval", right=True),
        Column("not tested", "untested", right=True),
        Column("only tested", "vain", right=True),
    ]
    return Listing(columns, [_production_row(row) for row in production.to_dict("records")])


def _production_row(row: dict[Any, Any]) -> dict[str, Any]:
    ends = [percent(row[end], sign=False) for end in ("low", "high")]
    return {
        "kind": row["kind"],
        "site": row["site"],
        "tested": percent(row["tested_mass"], sign=False),
        "interval": " ... ".join(ends),
        "untested": f"{row['untested']:,}",
        "vain": f"{row['only_tested']:,}",
    }


def cost_line(costs: Costs, word: str, profile: str) -> str:
    """The dearest inputs in seconds."""
    worst, mean = float(costs.seconds.max()), float(costs.seconds.mean())
    cheapest, dearest = costs.structural
    return (
        f"{len(costs.seconds):,} priced alone on {profile}: mean {seconds(mean)}, worst observed "
        f"{seconds(worst)} ({word} {costs.worst_unit}, {number(worst / mean)} times the mean); "
        f"worst possible {seconds(dearest)}, best possible {seconds(cheapest)}; "
        f"{costs.share_of_range:.0%} of that range was seen"
    )


def test_set_line(chosen: TestSet, by: str, word: str) -> str:
    """A smallest test set: how large, whether that is proved, and which inputs."""
    count = len(chosen.units)
    proof = "the smallest there is" if chosen.gap == 0 else f"no smaller than {chosen.at_least}"
    listed = ", ".join(map(str, chosen.units[:MOST_UNITS]))
    more = f" and {count - MOST_UNITS} more (--json)" if count > MOST_UNITS else ""
    things = COST_RANGE if by == "cost" else by
    return (
        f"{count} of {chosen.of:,} {word}s show all {chosen.things:,} {things} ({proof}): "
        f"{listed}{more}"
    )


test_set_line.__test__ = False  # type: ignore[attr-defined]  # of pytest
