"""Results for a terminal: Rich tables and a waterfall of bars on a log axis. Takes what the library returns, computes nothing new."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    import pandas as pd

    from condsim.hardware import HardwareProfile
    from condsim.predict.prediction import Prediction

BAR_WIDTH = 44
PREFIXES = (
    (1e12, "T"),
    (1e9, "G"),
    (1e6, "M"),
    (1e3, "k"),
    (1.0, ""),
    (1e-3, "m"),
    (1e-6, "µ"),
    (1e-9, "n"),
    (1e-12, "p"),
    (1e-15, "f"),
)


def si(value: float | None, unit: str, digits: int = 3) -> str:
    """A number for a person: 4.13 ms, 1.9 J."""
    if value is None or not math.isfinite(value):
        return "n/a"
    if value == 0:
        return f"0 {unit}"
    scale, prefix = next((p for p in PREFIXES if abs(value) >= p[0] * 0.9995), PREFIXES[-1])
    return f"{number(value / scale, digits)} {prefix}{unit}"


def number(value: float | None, digits: int = 3) -> str:
    """So many significant digits, never an exponent."""
    if value is None or not math.isfinite(value):
        return "n/a"
    if value == 0:
        return "0"
    places = max(digits - 1 - math.floor(math.log10(abs(value))), 0)
    return f"{value:.{places}f}"


def times(value: float | None) -> str:
    """A speedup: 1.40x."""
    return (
        "n/a"
        if value is None or not math.isfinite(value)
        else f"{value:.2f}x"
        if value >= 0.1
        else f"{value:.3f}x"
    )


def percent(value: float | None, sign: bool = True) -> str:
    """A share or a relative error."""
    return (
        "n/a"
        if value is None or not math.isfinite(value)
        else f"{value:+.1%}"
        if sign
        else f"{value:.1%}"
    )


def spoken(name: str) -> str:
    """An identifier of effects, mechanisms or parts in words: weight_traffic as "weight traffic", moe as "mixture of experts"."""
    return "mixture of experts" if name == "moe" else name.replace("_", " ")


def shares(basis: Mapping[str, float]) -> str:
    """What a prediction rests on: "calibrated 97 %, extrapolated 3 %"."""
    found = sorted(((s, b) for b, s in basis.items() if s >= 0.005), reverse=True)
    return ", ".join(f"{b} {s:.0%}" for s, b in found)


def sentence(p: Prediction) -> str:
    """The verdict in one sentence."""
    low, high = (number(v) for v in p.speedup_interval)
    over = f"the {p.baseline} dense model on {p.profile} at batch {p.batch}"
    if p.verdict == "faster":
        return f"It pays: {times(p.speedup)} as fast as {over} (90 % interval {low} ... {high})."
    if p.verdict == "slower":
        return f"It does not pay: {times(p.speedup)} as fast as {over} (90 % interval {low} ... {high})."
    return f"Too close to call: {times(p.speedup)} as fast as {over}, but the 90 % interval {low} ... {high} holds 1x."


def prediction_lines(
    trace: str,
    p: Prediction,
    speedups: Mapping[str, float],
    measured: Mapping[str, Any] | None,
    seconds: float | None = None,
) -> list[Text | Table]:
    """What a prediction says, in a few lines."""
    title = Text(
        f"{trace} · {p.profile} · {p.strategy} · {p.runtime} · {p.dtype} · {p.phase} · batch {p.batch} · against {p.baseline}",
        "bold",
    )
    if seconds is not None:
        title.append(f"   {seconds:.1f} s", "dim")
    low, high = p.speedup_interval
    style = {"faster": "green", "slower": "red"}.get(p.verdict, "yellow")
    table = Table.grid(padding=(0, 2))
    table.add_row(
        "speedup",
        Text(times(p.speedup), "bold"),
        f"90 % interval {number(low)} ... {number(high)}",
        Text(p.verdict, style),
        p.basis,
    )
    if measured is not None:
        about = f"of the measured steps {times(measured['predicted_speedup'])} was predicted: {percent(measured['error'])}"
        table.add_row("", times(measured["measured_speedup"]), about, "", "measured")
    for other, value in speedups.items():
        if other != p.baseline:
            table.add_row("", times(value), f"against {other}", "", p.basis)
    table.add_row(
        "latency",
        si(p.latency_s, "s"),
        f"dense {si(p.baseline_s, 's')}",
        f"p99 {si(p.percentile(99), 's')}",
        p.basis,
    )
    if measured is not None:
        table.add_row(
            "",
            si(measured["measured_latency_s"], "s"),
            f"dense {si(measured['measured_baseline_s'], 's')}",
            "",
            "measured",
        )
    table.add_row(
        "energy",
        si(p.energy_j, "J"),
        f"dense {si(p.baseline_energy_j, 'J')}",
        "",
        p.bases["energy_j"],
    )
    table.add_row(
        "peak memory",
        si(p.peak_bytes, "B"),
        f"dense {si(p.baseline_peak_bytes, 'B')}",
        "",
        p.bases["peak_bytes"],
    )
    table.add_row("rests on", shares(p.estimated))
    lines: list[Text | Table] = [title, table]
    return lines + [Text(f"note: {n}", "dim") for n in p.notes]


def waterfall_lines(
    p: Prediction, measured: float | None = None, plain: bool = False
) -> list[Text]:
    """Bars from the speedup before an effect to the speedup after it, on a log axis; totals start at 1x, the dense baseline.

    measured: the speedup that was measured, None where none was. plain: ASCII only.
    """
    rows = p.waterfall.to_dict("records")
    values = [1.0, *(r["speedup"] for r in rows), *([measured] if measured else [])]
    low, high = min(values), max(values)
    low, high = (low * 0.93, high * 1.07) if high / low > 1.05 else (low * 0.7, high * 1.4)
    axis = _Axis(low, high, BAR_WIDTH, plain)
    lines = [
        Text(
            "where the FLOP saving went: speedup before x factor = speedup after (log axis)", "bold"
        )
    ]
    lines.append(Text(f"{'':15} {'factor':>7} {'speedup':>8}  {axis.labels()}", "dim"))
    before = 1.0
    for row in rows:
        name = str(row["world"])
        if name == "flops":
            lines.append(
                _line(
                    "flops",
                    "",
                    row["speedup"],
                    axis.bar(1.0, row["speedup"], "cyan"),
                    row["meaning"],
                )
            )
        elif row["factor"] == 1.0:
            lines.append(
                _line(
                    name,
                    "x1",
                    row["speedup"],
                    axis.bar(row["speedup"], row["speedup"], "dim"),
                    "does not apply",
                )
            )
        else:
            colour = "red" if row["factor"] < 1 else "green"
            lines.append(
                _line(
                    name,
                    f"x{number(row['factor'])}",
                    row["speedup"],
                    axis.bar(before, row["speedup"], colour),
                    row["meaning"],
                )
            )
        before = row["speedup"]
    lines.append(
        _line(
            "predicted",
            "",
            p.speedup,
            axis.bar(1.0, p.speedup, "bold"),
            f"{number(p.speedup_interval[0])} ... {number(p.speedup_interval[1])}",
        )
    )
    if measured:
        lines.append(
            _line(
                "measured",
                f"x{number(measured / p.speedup)}",
                measured,
                axis.bar(1.0, measured, "bold magenta"),
                "measured / predicted",
            )
        )
    factors = {r["world"]: r["factor"] for r in rows}
    if factors.get("quantisation", 1.0) != 1.0:
        lines.append(
            Text(
                f"divergence = efficiency x quantisation = x{number(factors['efficiency'] * factors['quantisation'])}",
                "dim",
            )
        )
    return lines


def _line(name: str, factor: str, speedup: float, bar: Text, meaning: str) -> Text:
    return (
        Text(f"{name:15} {factor:>7} {times(speedup):>8}  ")
        .append_text(bar)
        .append(f"  {meaning}", "dim")
    )


class _Axis:
    """A log axis of so many characters, with 1x marked."""

    def __init__(self, low: float, high: float, width: int, plain: bool) -> None:
        self.low, self.span, self.width = math.log(low), math.log(high) - math.log(low), width
        self.full, self.one, self.point = ("#", "|", "+") if plain else ("█", "│", "┃")

    def place(self, value: float) -> int:
        return min(
            max(round((math.log(value) - self.low) / self.span * (self.width - 1)), 0),
            self.width - 1,
        )

    def bar(self, start: float, end: float, style: str) -> Text:
        a, b = sorted((self.place(start), self.place(end)))
        cells = [" "] * self.width
        for i in range(a, b + 1):
            cells[i] = self.full if b > a else self.point
        if cells[self.place(1.0)] == " ":
            cells[self.place(1.0)] = self.one
        text = Text()
        for i, c in enumerate(cells):
            text.append(c, style if a <= i <= b else "dim")
        return text

    def labels(self) -> str:
        """Round values over the axis, as many as fit."""
        cells = [" "] * self.width
        free = 0
        for value in (v for v in _ticks() if self.low <= math.log(v) <= self.low + self.span):
            text, at = f"{value:g}x", self.place(value)
            if value != 1.0 and self.low <= 0.0 and abs(at - self.place(1.0)) < 5:
                continue
            if at >= free and at + len(text) <= self.width:
                cells[at : at + len(text)] = text
                free = at + len(text) + 2
        return "".join(cells)


def _ticks() -> Iterable[float]:
    return (m * 10.0**e for e in range(-4, 5) for m in (1, 2, 5))


def _columns(table: Table, names: str) -> None:
    """Add columns, their names with | between; those of numbers are marked with > and stand on the right. Prose may wrap, nothing else."""
    for name in (n.strip() for n in names.split("|")):
        table.add_column(
            name.lstrip(">"),
            justify="right" if name.startswith(">") else "left",
            no_wrap=name not in ("source", "description"),
        )


def predictions_table(trace: str, rows: Sequence[Mapping[str, Any]]) -> Table:
    """A row a device and strategy; the reason where one could not be predicted. graphs: how many a device of prepared graphs compiles."""
    table = Table(
        title=f"{trace}, predicted",
        title_justify="left",
        box=None,
        pad_edge=False,
        padding=(0, 2, 0, 0),
    )
    names = "class | device | strategy | >batch | >speedup | >90 % interval | >latency | >dense | >energy | >dense | >peak memory | main loss | >graphs"
    _columns(table, f"{names} | verdict | basis")
    for r in rows:
        if "error" in r:
            table.add_row(
                r["class"], str(r["profile"]), str(r["strategy"]), Text(f"{r['error']}", "dim")
            )
            continue
        low, high = r["speedup_interval"]
        table.add_row(
            r["class"],
            r["profile"],
            r["strategy"],
            str(r["batch"]),
            times(r["speedup"]),
            f"{number(low)} ... {number(high)}",
            si(r["latency_s"], "s"),
            si(r["baseline_s"], "s"),
            si(r["energy_j"], "J"),
            si(r["baseline_energy_j"], "J"),
            si(r["peak_bytes"], "B"),
            r["main_loss"] or "none",
            str(r["graphs"] or ""),
            r["verdict"],
            r["basis"],
        )
    return table


def elsewhere_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """What a trace gains on a device of each class, with the fastest strategy that it has there; a row a trace and device."""
    table = Table(
        title="on a device of each class, with its fastest strategy",
        title_justify="left",
        box=None,
        pad_edge=False,
        padding=(0, 2, 0, 0),
    )
    _columns(
        table,
        "trace | class | device | strategy | >speedup | >90 % interval | >latency | >energy | main loss | verdict | basis",
    )
    for r in rows:
        low, high = r["speedup_interval"]
        table.add_row(
            r["trace"],
            r["class"],
            r["profile"],
            r["strategy"],
            times(r["speedup"]),
            f"{number(low)} ... {number(high)}",
            si(r["latency_s"], "s"),
            si(r["energy_j"], "J"),
            r["main_loss"] or "none",
            r["verdict"],
            r["basis"],
        )
    return table


def comparison_table(rows: pd.DataFrame) -> Table:
    """Predicted beside measured, a row a measured case."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    _columns(
        table,
        "trace | mechanism | strategy | phase | >batch | against | >predicted | >90 % interval | >measured | >error | >latency predicted | >measured | ",
    )
    for r in rows.to_dict("records"):
        error = abs(r["error"])
        style = (
            "dim"
            if not r["same_machine"]
            else "green"
            if error <= 0.1
            else "yellow"
            if error <= 0.25
            else "red"
        )
        remark = (
            "another machine" if not r["same_machine"] else "noisy machine" if r["noisy"] else ""
        )
        table.add_row(
            r["trace"],
            r["mechanism"],
            r["strategy"],
            r["phase"],
            str(r["batch"]),
            r["baseline"],
            times(r["predicted_speedup"]),
            f"{number(r['low'])} ... {number(r['high'])}",
            times(r["measured_speedup"]),
            Text(percent(r["error"]), style),
            si(r["predicted_latency_s"], "s"),
            si(r["measured_latency_s"], "s"),
            Text(remark, "dim"),
        )
    return table


def parts_table(rows: pd.DataFrame, by: str) -> Table:
    """Predicted beside measured, a row a segment or operator, and a sum a side."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    _columns(
        table,
        f"trace | strategy | >batch | side | {by} | >calls | >predicted | >measured | >error | >share | >of the side | ",
    )
    for (trace, strategy, batch, baseline, side), group in rows.groupby(
        ["trace", "strategy", "batch", "baseline", "side"], sort=False
    ):
        place = (
            str(trace),
            str(strategy),
            str(batch),
            str(side) if side == "conditional" else str(baseline),
        )
        total = float(group["measured_s"].sum())
        remark = (
            "another machine"
            if not group["same_machine"].all()
            else "noisy machine"
            if group["noisy"].any()
            else ""
        )
        for r in group.to_dict("records"):
            off = (r["predicted_s"] - r["measured_s"]) / total
            style = "green" if abs(off) <= 0.02 else "yellow" if abs(off) <= 0.05 else "red"
            table.add_row(
                *place,
                r[by],
                number(r["calls"]),
                si(r["predicted_s"], "s"),
                si(r["measured_s"], "s"),
                percent(r["error"]),
                percent(r["share"], False),
                Text(percent(off), style),
            )
        predicted, whole = float(group["predicted_s"].sum()), float(group["whole_s"].iloc[0])
        table.add_row(
            *place,
            "sum",
            number(float(group["calls"].sum())),
            si(predicted, "s"),
            si(total, "s"),
            percent(predicted / total - 1),
            "100.0%",
            Text(f"{si(whole, 's')} without the profiler"),
            Text(remark, "dim"),
            style="bold",
            end_section=True,
        )
    return table


def cancelled_line(summary: Mapping[str, Any], by: str) -> str:
    """The statistics under it."""
    whole, parts = (
        percent(summary[k], False) for k in ("median_abs_error", "median_sum_of_abs_errors")
    )
    return f"medians over {summary['sides']} sides: |error| of the sum {whole}; sum of the |errors| of each {by} {parts} of what was measured"


def error_line(summary: Mapping[str, Any]) -> str:
    """The statistics under a comparison."""
    if not summary["rows_same_machine"]:
        return "no row was measured on the machine of its profile: no statistics"
    return (
        f"speedup over {summary['rows_same_machine']} rows measured on the machine of their profile: "
        f"median |error| {percent(summary['median_abs_error'], False)}, 90th percentile {percent(summary['p90_abs_error'], False)}, "
        f"worst {percent(summary['worst_abs_error'], False)}"
    )


def profile_list(known: Mapping[str, HardwareProfile]) -> Table:
    """Devices by class."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    _columns(table, "class | name | basis | dtype | description")
    for name, p in sorted(
        known.items(), key=lambda item: (("cpu", "gpu", "tpu", "npu").index(item[1].kind), item[0])
    ):
        table.add_row(
            p.kind,
            escape(name),
            "calibrated" if p.calibrated else "data sheet",
            p.dtype,
            escape(p.description),
        )
    return table


UNITS = {
    "bytes": "B",
    "weight_cache_bytes": "B",
    "bandwidth": "B/s",
    "j_per_flop": "J/FLOP",
    "j_per_byte": "J/B",
    "peak_flops": "FLOP/s",
    "flops": "FLOP/s",
    "host": "s",
    "graphs": "s",
    "dispatch": "s",
    "extra_s": "s",
}


def unit_of(what: str) -> str:
    """The unit of a profile's number by its path."""
    if what.endswith(("efficiency", "mixing")):
        return ""
    if what.endswith("_w"):
        return "W"
    return next(
        (unit for part in reversed(what.split(".")) for key, unit in UNITS.items() if part == key),
        "",
    )


def profile_table(numbers: Sequence[Mapping[str, Any]], description: str) -> Table:
    """One number a line: value, basis, uncertainty, source."""
    table = Table(
        title=escape(description),
        title_justify="left",
        box=None,
        pad_edge=False,
        padding=(0, 2, 0, 0),
    )
    _columns(table, "number | >value | basis | >±  | source")
    from condsim.hardware import UNCERTAINTY

    for n in numbers:
        unit = unit_of(n["what"])
        shown = (
            "table" if n["value"] is None else si(n["value"], unit) if unit else number(n["value"])
        )
        spread = UNCERTAINTY[n["basis"]] if n["uncertainty"] is None else n["uncertainty"]
        table.add_row(
            escape(n["what"]), shown, n["basis"], f"{spread:.0%}", escape(n["source"] or "")
        )
    return table


def trace_lines(about: Mapping[str, Any], folder: str) -> list[Text | Table]:
    """What a trace holds, and what was measured."""
    kinds = dict.fromkeys(
        f"{s['mechanism']}, {s['branches']} branches"
        + (f", top {s['top_k']}" if s["top_k"] else "")
        for s in about["sites"]
    )
    lines: list[Text | Table] = [Text(f"{about['name']} in {folder}", "bold")]
    lines.append(
        Text(
            f"{len(about['sites'])} sites ({'; '.join(kinds)}), {about['steps']} steps, {about['units']} units, {about['parameters']:,} parameters"
        )
    )
    if about["quality"]:
        lines.append(
            Text(
                f"{about['quality_name']}: "
                + ", ".join(f"{k} {number(v)}" for k, v in about["quality"].items())
            )
        )
    lines += [Text(f"note: {n}", "dim") for n in about["notes"]]
    if about["measurements"]:
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        _columns(table, "strategy | phase | >batch | against | >speedup | >latency | basis")
        for m in about["measurements"]:
            how = m["strategy"] if m["runtime"] == "eager" else f"{m['strategy']}, {m['runtime']}"
            table.add_row(
                how,
                m["phase"],
                str(m["batch"]),
                m["baseline"],
                times(m["speedup"]),
                si(m["latency_s"], "s"),
                "measured",
            )
        lines.append(table)
    return lines
