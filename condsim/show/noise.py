"""Noise on the inputs for a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pandas as pd
from rich.table import Table
from rich.text import Text

from condsim.show.tables import Column, Listing
from condsim.show.text import interval, number, percent, seconds, times

if TYPE_CHECKING:
    from condsim.decide.noise.noise import NoiseReport

CHANCE = 0.05
"""Probability below which routing has moved and is not said to have by chance."""


def noise_lines(found: NoiseReport) -> Iterator[Text | Table]:
    """What noise does to quality, routing and speed, and path by path."""
    yield Text(f"{found.trace} on {found.profile}, batch {found.batch}", "bold")
    yield inputs_listing(found).for_terminal()
    yield Text(f"\n{found.quality_name} by path", "bold")
    yield paths_listing(found).for_terminal()
    yield Text("\n" + noise_sentence(found), "bold")


def inputs_listing(found: NoiseReport) -> Listing:
    """A row an input."""
    columns = [
        Column("inputs", "inputs"),
        Column(found.quality_name, "quality", number, right=True),
        Column("dense network", "dense_quality", number, right=True),
        Column("decisions moved", "moved", _share, right=True),
        Column("by chance", "by_chance", _share, right=True),
        Column("work", "work", times, right=True),
        Column("a step", "latency_s", seconds, right=True),
        Column("speedup", "speedup", times, right=True),
        Column("90 % interval", "interval", right=True),
    ]
    rows = found.table.to_dict("records")
    shown = [row | {"interval": interval((row["low"], row["high"]))} for row in rows]
    return Listing(columns, shown)


def _share(value: float) -> str:
    return percent(value, sign=False)


def paths_listing(found: NoiseReport) -> Listing:
    """A row a path: share of the units and their quality, clean and noisy."""
    inputs = found.table["inputs"].tolist()
    columns = [Column("path", "path")]
    for name in inputs:
        columns += [
            Column(f"{name}: units", f"share {name}", right=True),
            Column(found.quality_name, f"quality {name}", right=True),
            Column("dense", f"dense {name}", right=True),
        ]
    rows = []
    for path, group in found.paths.groupby("path", sort=False):
        row: dict[str, Any] = {"path": path}
        for of_input in group.to_dict("records"):
            name = of_input["inputs"]
            row[f"share {name}"] = _share(of_input["share"])
            row[f"quality {name}"] = _known(of_input["quality"])
            row[f"dense {name}"] = _known(of_input["dense_quality"])
        rows.append(row)
    return Listing(columns, rows)


def _known(value: float | None) -> str:
    return "" if value is None or pd.isna(value) else number(value)


def noise_sentence(found: NoiseReport) -> str:
    """What the noise that moves most decisions does, in one sentence."""
    clean, *noisy = found.table.to_dict("records")
    worst = max(noisy, key=lambda row: float(row["moved"]))
    moved = "moves" if worst["p"] <= CHANCE else "does not move by more than chance"
    return (
        f"With {worst['inputs']}, routing {moved} ({_share(worst['moved'])} of the decisions), "
        f"{found.quality_name} goes from {number(clean['quality'])} to {number(worst['quality'])} "
        f"(dense network: {number(clean['dense_quality'])} to {number(worst['dense_quality'])}), "
        f"and the predicted speedup from {times(clean['speedup'])} to {times(worst['speedup'])}."
    )
