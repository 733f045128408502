"""Predictions for a terminal. They show what the library returns and compute nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from condsim.protocols import PROTOCOLS
from condsim.show.notes import said_once
from condsim.show.tables import Column, Row, cells_of, table_of, without_lines
from condsim.show.text import interval, joules, number, percent, seconds, shares, size, times

if TYPE_CHECKING:
    import pandas as pd

    from condsim.predict.dense import Rival
    from condsim.predict.memory import Memory
    from condsim.predict.prediction import Prediction

VERDICT_STYLES = {"faster": "green", "slower": "red", "too close to call": "yellow"}


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
    notes = [Text(f"note: {note}", "dim") for note in said_once(p.notes)]
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
    table = without_lines(PREDICTIONS, f"{trace}, predicted")
    for row in rows:
        if "error" in row:
            reason = Text(str(row["error"]), "dim")
            table.add_row(*cells_of(CASE, row), reason)
        else:
            table.add_row(*cells_of(PREDICTIONS, row))
    return table


def ranks_table(devices: pd.DataFrame) -> Table:
    """A row a rank of a model that is spread over several. devices: of a prediction."""
    return table_of(RANKS, devices.to_dict("records"), "a step on each rank")


def elsewhere_table(rows: Sequence[Row]) -> Table:
    """What a trace gains on a device of each class; a row a trace and device.

    rows: of `condsim.study.ranking.predict_all`, with the fastest strategy of each device.
    """
    return table_of(ELSEWHERE, rows, "on a device of each class, with its fastest strategy")


def _or_none(name: str) -> str:
    return name or "none"


def _unless_zero(count: int) -> str:
    return str(count) if count else ""


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
