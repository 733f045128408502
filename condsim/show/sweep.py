"""A sweep in a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.table import Table

from condsim.predict.verdict import PAYS
from condsim.show.tables import Column, Listing
from condsim.show.text import interval, joules, number, seconds, times

if TYPE_CHECKING:
    import pandas as pd


def summary_line(table: pd.DataFrame) -> str:
    """How many points say what."""
    words = []
    counts = table["verdict"].value_counts()
    for verdict, says in PAYS.items():
        if verdict in counts:
            words.append(f"{says} at {counts[verdict]:,}")
    failed = int(table["error"].notna().sum())
    if failed:
        words.append(f"{failed:,} have no prediction")
    return f"{len(table):,} points: " + ", ".join(words)


def points_table(table: pd.DataFrame, most: int) -> Table:
    """The points of highest speedup, then those without a prediction; `most` rows in all."""
    shown = table.sort_values("speedup", ascending=False, kind="stable").head(most)
    of = f"the best {len(shown)} of {len(table):,}" if len(shown) < len(table) else "all points"
    return points_listing(table, shown).for_terminal(of)


def points_listing(table: pd.DataFrame, shown: pd.DataFrame) -> Listing:
    """Some points of a sweep. table: all of them; shown: rows of it. What is alike in all points
    has no column."""
    columns = [Column(name, name, _word, right=_is_number(table, name)) for name in _own(table)]
    columns += [
        Column("speedup", "speedup", times, right=True),
        Column("90 % interval", "interval", right=True),
        Column("latency", "latency_s", seconds, right=True),
        Column("energy", "energy_j", joules, right=True),
        Column("", "says", wraps=True),
    ]
    return Listing(columns, [_with_words(row) for row in shown.to_dict("records")])


def _own(table: pd.DataFrame) -> list[str]:
    """Columns that differ between points, axes among them."""
    names = list(table.columns)
    before = names[: names.index("baseline") + 1]
    return [name for name in before if name != "class" and table[name].nunique() > 1]


def _is_number(table: pd.DataFrame, name: str) -> bool:
    return table[name].dtype.kind in "if"


def _word(value: Any) -> str:
    if value is None or value != value:
        return ""
    return number(value) if isinstance(value, float) else str(value)


def _with_words(row: dict[Any, Any]) -> dict[Any, Any]:
    failed = isinstance(row["error"], str)
    says = row["error"] if failed else PAYS[row["verdict"]]

    return row | {"says": says, "interval": "" if failed else interval((row["low"], row["high"]))}
