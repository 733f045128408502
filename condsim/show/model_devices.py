"""A model of the catalogue on many devices, for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from condsim.show.tables import Column, Row, cells_of, without_lines
from condsim.show.text import interval, seconds, size, times

COLUMNS = (
    Column("class", "class"),
    Column("device", "profile"),
    Column("strategy", "strategy"),
    Column("dtype", "dtype"),
    Column("memory", "room", right=True),
    Column("a step", "latency_s", seconds, right=True),
    Column("same-params", "same-params", times, right=True),
    Column("same-flops", "same-flops", times, right=True),
)
AFTER_RIVALS = (
    Column("90 % interval", "speedup_interval", interval, right=True),
    Column("verdict", "verdict"),
    Column("basis", "basis"),
)


def model_devices(title: str, rows: Sequence[Row]) -> Group:
    """A row a device, and behind them the reasons why others could not be predicted.

    title: what was asked. rows: of `condsim.catalogue.parts.devices.rows_on`.
    """
    answered = [row for row in rows if "error" not in row]
    refused = [row for row in rows if "error" in row]
    reasons = [Text(f"{row['profile']}: {row['error']}", "dim") for row in refused]
    return Group(model_devices_table(title, answered), *reasons)


def model_devices_table(title: str, rows: Sequence[Row]) -> Table:
    """A row a device. rows: those that have an answer."""
    rivals = _rivals(rows)
    of_rivals = [Column(f"over {name}", name, times, right=True) for name in rivals]
    columns = (*COLUMNS, *of_rivals, *AFTER_RIVALS)
    table = without_lines(columns, title)
    for row in rows:
        table.add_row(*cells_of(columns, _shown(row)))
    return table


def _rivals(rows: Sequence[Row]) -> list[str]:
    """The dense rivals that some row has, in order."""
    names: dict[str, None] = {}
    for row in rows:
        names |= dict.fromkeys(rival["name"] for rival in row.get("dense_rivals", ()))
    return list(names)


def _shown(row: Row) -> dict[str, Any]:
    """A row with a value for each column."""
    over_rivals = {rival["name"]: rival["speedup"] for rival in row["dense_rivals"]}
    return {**row, **row["speedups"], **over_rivals, "room": _room(row["memory"])}


def _room(memory: Mapping[str, Any]) -> Text:
    """What is needed of a device's memory."""
    parts = ("weights_bytes", "caches_bytes", "activations_bytes")
    needed = sum(memory[part] for part in parts)
    said = f"{size(needed)} of {size(int(memory['device_bytes']))}"
    return Text(said, "" if memory["fits"] else "red")
