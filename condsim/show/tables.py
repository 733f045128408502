"""Predictions for a terminal, as Rich tables, alone and beside measurements.

They show what the library returns and compute nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from rich.table import Table
from rich.text import Text

from condsim.protocols import PROTOCOLS
from condsim.show.text import interval, joules, number, percent, seconds, shares, size, times

if TYPE_CHECKING:
    import pandas as pd

    from condsim.predict.dense import Rival
    from condsim.predict.memory import Memory
    from condsim.predict.prediction import Prediction

VERDICT_STYLES = {"faster": "green", "slower": "red", "too close to call": "yellow"}
Row = Mapping[Any, Any]


@dataclass(frozen=True)
class Column:
    """A column of a table: its header, and which value of a row stands in it.

    show: how the value is written. right: whether it stands on the right, as numbers do. wraps:
    whether a long text may go on in the next line.
    """

    header: str
    key: str
    show: Callable[[Any], str | Text] = str
    right: bool = False
    wraps: bool = False


def table_of(columns: Sequence[Column], rows: Iterable[Row], title: str | None = None) -> Table:
    """A table without lines. rows: a value for the key of each column."""
    table = _without_lines(columns, title)
    for row in rows:
        table.add_row(*_cells(columns, row))
    return table


def _without_lines(columns: Sequence[Column], title: str | None = None) -> Table:
    table = Table(
        title=None if title is None else Text(title, "table.title"),
        title_justify="left",
        box=None,
        pad_edge=False,
        padding=(0, 2, 0, 0),
    )
    for column in columns:
        side: Literal["left", "right"] = "right" if column.right else "left"
        table.add_column(column.header, justify=side, no_wrap=not column.wraps)
    return table


def _cells(columns: Sequence[Column], row: Row) -> list[Text]:
    """Cells of a row; brackets in a name are no markup."""
    shown = [column.show(row[column.key]) for column in columns]
    return [cell if isinstance(cell, Text) else Text(cell) for cell in shown]


# Predictions


def prediction_lines(
    trace: str,
    p: Prediction,
    speedups: Mapping[str, float],
    measured: Mapping[str, Any] | None,
    took_s: float | None = None,
) -> list[Text | Table]:
    """What a prediction says, in a few lines.

    speedups: baseline → speedup over it. measured: of `condsim.study.answer.measured_beside`.
    took_s: how long the prediction took, None: not shown.
    """
    asked = (
        trace,
        p.profile,
        p.strategy,
        p.runtime,
        p.dtype,
        p.phase,
        f"batch {p.batch}",
        f"against {p.baseline}",
        p.protocol,
    )
    title = Text(" · ".join(asked), "bold")
    if took_s is not None:
        title.append(f"   {took_s:.1f} s", "dim")
    table = Table.grid(padding=(0, 2))
    _add_speedups(table, p, speedups, measured)
    _add_latency(table, p, measured)
    _add_energy_and_memory(table, p)
    table.add_row("rests on", shares(p.estimated))
    table.add_row("answers", PROTOCOLS[p.protocol].says)
    notes = [Text(f"note: {note}", "dim") for note in p.notes]
    return [title, table, *notes]


def rival_lines(rivals: Sequence[Rival]) -> list[Text | Table]:
    """The dense models that a model is fairly compared with, a row each."""
    if not rivals:
        return []
    table = Table.grid(padding=(0, 2))
    for rival in rivals:
        speedup = Text(times(rival.speedup), "bold")
        latency = f"dense {seconds(rival.step.latency_s)}"
        table.add_row(f"against {rival.name}", speedup, latency, room(rival.step.memory), rival.why)
    return [table]


def room(memory: Memory) -> Text:
    """What is needed of a device's memory."""
    needed, there = size(memory.needed_bytes), size(int(memory.device_bytes))
    if memory.fits:
        return Text(f"{needed} of {there}")
    return Text(f"does not fit: {needed} of {there}", "red")


def _add_speedups(
    table: Table,
    p: Prediction,
    speedups: Mapping[str, float],
    measured: Mapping[str, Any] | None,
) -> None:
    speedup = Text(times(p.speedup), "bold")
    interval_text = f"90 % interval {interval(p.speedup_interval)}"
    verdict = Text(p.verdict, VERDICT_STYLES[p.verdict])
    table.add_row("speedup", speedup, interval_text, verdict, p.basis)
    if measured is not None:
        measured_speedup = times(measured["measured_speedup"])
        predicted = times(measured["predicted_speedup"])
        error = percent(measured["error"])
        about = f"{measured['protocol']}; {predicted} was predicted of it: {error}"
        table.add_row("", measured_speedup, about, "", "measured")
    for baseline, value in speedups.items():
        if baseline != p.baseline:
            table.add_row("", times(value), f"against {baseline}", "", p.basis)


def _add_latency(table: Table, p: Prediction, measured: Mapping[str, Any] | None) -> None:
    latency = seconds(p.latency_s)
    dense = seconds(p.baseline_s)
    p99 = seconds(p.percentile(99))
    table.add_row("latency", latency, f"dense {dense}", f"p99 {p99}", p.basis)
    if measured is not None:
        latency = seconds(measured["measured_latency_s"])
        dense = seconds(measured["measured_baseline_s"])
        table.add_row("", latency, f"dense {dense}", "", "measured")


def _add_energy_and_memory(table: Table, p: Prediction) -> None:
    bases = p.bases
    energy = joules(p.energy_j)
    dense = joules(p.baseline_energy_j)
    table.add_row("energy", energy, f"dense {dense}", "", bases["energy_j"])
    peak = size(p.peak_bytes)
    dense = size(p.baseline_peak_bytes)
    table.add_row("peak memory", peak, f"dense {dense}", "", bases["peak_bytes"])
    parts = _training_parts(p) if p.memory.training else _inference_parts(p)
    table.add_row("", room(p.memory), " + ".join(parts))
    if not p.memory.fits:
        table.add_row("", Text("would fit:", "dim"), "; ".join(p.memory.ways_out))


def _inference_parts(p: Prediction) -> tuple[str, ...]:
    return (
        f"weights {size(p.memory.weights_bytes)}",
        f"caches {size(p.memory.caches_bytes)}",
        f"activations {size(p.memory.activations_bytes)}",
    )


def _training_parts(p: Prediction) -> tuple[str, ...]:
    peak = p.memory.training
    assert peak is not None
    return (
        f"weights {size(peak.weights_bytes)}",
        f"optimizer {size(peak.optimizer_bytes)}",
        f"gradients {size(peak.of_kind('gradients'))}",
        f"saved {size(peak.of_kind('saved'))}",
        f"temporaries {size(peak.of_kind('temporaries'))}",
    )


def memory_table(p: Prediction) -> Table:
    """What each part of a training step's memory takes at the peak of each side."""
    peak = p.memory.training
    assert peak is not None
    rows = p.memory_waterfall.to_dict("records")
    return table_of(MEMORY, rows, f"memory at the peak, which is in {peak.place}")


def memory_line(p: Prediction) -> str:
    """What conditional computation saves and adds at the peak of a training step, in words."""
    parts = p.memory_waterfall.set_index("part")["added_bytes"].drop("all")
    saved, added = -parts.clip(upper=0).sum(), parts.clip(lower=0).sum()
    difference = added - saved
    way = "higher" if difference > 0 else "lower"
    return (
        f"conditional computation saves {size(saved)} and adds {size(added)}: the peak is "
        f"{size(abs(difference))} {way}"
    )


def predictions_table(trace: str, rows: Sequence[Row]) -> Table:
    """A row a device and strategy; the reason where one could not be predicted.

    rows: of `condsim.study.ranking.predict_all`. The column graphs says how many graphs a device of
    prepared graphs compiles.
    """
    table = _without_lines(PREDICTIONS, f"{trace}, predicted")
    for row in rows:
        if "error" in row:
            reason = Text(str(row["error"]), "dim")
            table.add_row(*_cells(CASE, row), reason)
        else:
            table.add_row(*_cells(PREDICTIONS, row))
    return table


def ranks_table(devices: pd.DataFrame) -> Table:
    """A row a rank of a model that is spread over several. devices: of a prediction."""
    return table_of(RANKS, devices.to_dict("records"), "a step on each rank")


def elsewhere_table(rows: Sequence[Row]) -> Table:
    """What a trace gains on a device of each class; a row a trace and device.

    rows: of `condsim.study.ranking.predict_all`, with the fastest strategy of each device.
    """
    return table_of(ELSEWHERE, rows, "on a device of each class, with its fastest strategy")


# Predictions beside measurements


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
    table = _without_lines(columns)
    key = ["trace", "strategy", "batch", "baseline", "side"]
    for _, side in parts.groupby(key, sort=False):
        measured_s = float(side["measured_s"].sum())
        for part in side.to_dict("records"):
            cells = _cells(columns, _shown_part(part, measured_s))
            table.add_row(*cells)
        total = _sum_of_parts(side, measured_s)
        total[by] = "sum"
        table.add_row(*_cells(columns, total), style="bold", end_section=True)
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


def _or_none(name: str) -> str:
    return name or "none"


def _unless_zero(count: int) -> str:
    return str(count) if count else ""


def _same(value: Any) -> Any:
    """What is shown as it is."""
    return value


def _share(value: float) -> str:
    return percent(value, sign=False)


# The columns of the tables above

CASE = (
    Column("class", "class"),
    Column("device", "profile"),
    Column("strategy", "strategy"),
)
PREDICTIONS = (
    *CASE,
    Column("batch", "batch", right=True),
    Column("speedup", "speedup", times, right=True),
    Column("90 % interval", "speedup_interval", interval, right=True),
    Column("latency", "latency_s", seconds, right=True),
    Column("dense", "baseline_s", seconds, right=True),
    Column("energy", "energy_j", joules, right=True),
    Column("dense", "baseline_energy_j", joules, right=True),
    Column("peak memory", "peak_bytes", size, right=True),
    Column("main loss", "main_loss", _or_none),
    Column("graphs", "graphs", _unless_zero, right=True),
    Column("verdict", "verdict"),
    Column("basis", "basis"),
)
RANKS = (
    Column("rank", "rank", right=True),
    Column("units", "units", right=True),
    Column("rows", "rows", number, right=True),
    Column("tokens received", "tokens_received", number, right=True),
    Column("works", "seconds", seconds, right=True),
    Column("waits", "waiting_s", seconds, right=True),
    Column("exchanges", "communication_s", seconds, right=True),
    Column("peak memory", "peak_bytes", size, right=True),
)
MEMORY = (
    Column("part", "part"),
    Column("dense", "dense_bytes", size, right=True),
    Column("conditional", "conditional_bytes", size, right=True),
    Column("conditional adds", "added_bytes", size, right=True),
)
ELSEWHERE = (
    Column("trace", "trace"),
    *CASE,
    Column("speedup", "speedup", times, right=True),
    Column("90 % interval", "speedup_interval", interval, right=True),
    Column("latency", "latency_s", seconds, right=True),
    Column("energy", "energy_j", joules, right=True),
    Column("main loss", "main_loss", _or_none),
    Column("verdict", "verdict"),
    Column("basis", "basis"),
)
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
