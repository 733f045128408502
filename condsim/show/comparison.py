"""Predictions beside measurements for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from condsim.show.tables import Column, Row, cells_of, table_of, without_lines
from condsim.show.text import interval, number, percent, seconds, times

if TYPE_CHECKING:
    import pandas as pd


def comparison_table(cases: pd.DataFrame) -> Table:
    """Predicted beside measured, a row a measured case. cases: of `condsim.compare`."""
    rows = []
    for case in cases.to_dict("records"):
        style = "dim"
        if case["same_machine"]:
            style = _error_style(case["error"], good=0.1, fair=0.25)
        remark = _remark(case["same_machine"], case["noisy"])
        shown = {
            "interval": (case["low"], case["high"]),
            "styled_error": Text(percent(case["error"]), style),
            "remark": Text(remark, "dim"),
        }
        rows.append(case | shown)
    return table_of(COMPARISON, rows)


def parts_table(parts: pd.DataFrame, by: str) -> Table:
    """Predicted beside measured, a row a segment or operator, and a sum a side.

    parts: of `condsim.study.parts.compare_parts`. by: "segment" or "operator".
    """
    columns = [*SIDE, Column(by, by), *PARTS]
    table = without_lines(columns)
    key = ["trace", "strategy", "batch", "baseline", "side"]
    for _, side in parts.groupby(key, sort=False):
        measured_s = float(side["measured_s"].sum())
        for part in side.to_dict("records"):
            cells = cells_of(columns, _shown_part(part, measured_s))
            table.add_row(*cells)
        total = _sum_of_parts(side, measured_s)
        total[by] = "sum"
        table.add_row(*cells_of(columns, total), style="bold", end_section=True)
    return table


def _shown_part(part: Row, measured_s_of_side: float) -> dict[Any, Any]:
    """A segment or operator, with its error as a share of the time of the side."""
    error = (part["predicted_s"] - part["measured_s"]) / measured_s_of_side
    style = _error_style(error, good=0.02, fair=0.05)
    shown_error = Text(percent(error), style)
    return {**part, "shown_side": _side(part), "of_side": shown_error, "remark": ""}


def _sum_of_parts(side: pd.DataFrame, measured_s: float) -> dict[Any, Any]:
    """A row of the sums over a side."""
    first = side.iloc[0].to_dict()
    predicted_s = float(side["predicted_s"].sum())
    whole = seconds(float(first["whole_s"]))
    same_machine = bool(side["same_machine"].all())
    noisy = bool(side["noisy"].any())
    remark = _remark(same_machine, noisy)
    return {
        **first,
        "shown_side": _side(first),
        "calls": float(side["calls"].sum()),
        "predicted_s": predicted_s,
        "measured_s": measured_s,
        "error": predicted_s / measured_s - 1,
        "share": 1.0,
        "of_side": Text(f"{whole} without the profiler"),
        "remark": Text(remark, "dim"),
    }


def _side(part: Row) -> str:
    """A side as it is called in a table: the dense one by its baseline."""
    if part["side"] == "conditional":
        return "conditional"
    return str(part["baseline"])


def _error_style(error: float, good: float, fair: float) -> str:
    """The colour of an error. good, fair: the largest |error| that is green, and yellow."""
    if abs(error) <= good:
        return "green"
    return "yellow" if abs(error) <= fair else "red"


def _remark(same_machine: bool, noisy: bool) -> str:
    if not same_machine:
        return "another machine"
    return "noisy machine" if noisy else ""


def _same(value: Any) -> Any:
    """What is shown as it is."""
    return value


def _share(value: float) -> str:
    return percent(value, sign=False)


# The columns of the tables above

COMPARISON = (
    Column("trace", "trace"),
    Column("mechanism", "mechanism"),
    Column("strategy", "strategy"),
    Column("phase", "phase"),
    Column("batch", "batch", right=True),
    Column("protocol", "protocol"),
    Column("against", "baseline"),
    Column("predicted", "predicted_speedup", times, right=True),
    Column("90 % interval", "interval", interval, right=True),
    Column("measured", "measured_speedup", times, right=True),
    Column("error", "styled_error", _same, right=True),
    Column("latency predicted", "predicted_latency_s", seconds, right=True),
    Column("measured", "measured_latency_s", seconds, right=True),
    Column("", "remark", _same),
)
SIDE = (
    Column("trace", "trace"),
    Column("strategy", "strategy"),
    Column("batch", "batch", right=True),
    Column("side", "shown_side"),
)
PARTS = (
    Column("calls", "calls", number, right=True),
    Column("predicted", "predicted_s", seconds, right=True),
    Column("measured", "measured_s", seconds, right=True),
    Column("error", "error", percent, right=True),
    Column("share", "share", _share, right=True),
    Column("of the side", "of_side", _same, right=True),
    Column("", "remark", _same),
)
