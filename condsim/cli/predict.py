"""simulate and compare: from a trace to predictions, beside what was measured."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from condsim.cli.output import (
    at_least_one,
    one_of,
    open_trace,
    out,
    own_profile,
    print_json,
    profile_for,
    progress,
    say,
    suggest,
    writable,
    write_text,
)
from condsim.errors import CondsimError

if TYPE_CHECKING:
    from condsim.hardware import HardwareProfile
    from condsim.trace import Trace

BASELINES = (
    "same-params",
    "same-flops",
)  # as in condsim.strategies, which would bring NumPy into --help
PARTS = ("segment", "operator")
ALL = "all"


def simulate(
    trace: str,
    /,
    *,
    device: str | None = None,
    strategy: str | None = None,
    batch: int | None = None,
    baseline: str = BASELINES[0],
    dtype: str | None = None,
    runtime: str | None = None,
    threshold: float | None = None,
    capacity_factor: float | None = None,
    expert_cache: float | None = None,
    phase: str | None = None,
    timeline: Path | None = None,
    plot: Path | None = None,
    json: bool = False,
) -> None:
    """Predict a trace on a device: speedup, latency, energy and memory, and where the rest of the FLOP saving went.

    Parameters
    ----------
    trace
        Folder of a trace, or the name of one that comes with condsim.
    device
        A profile (condsim profiles lists them), a YAML file, this-machine, or all. Default: where the trace was measured, else this machine.
    strategy
        How sites execute (looped, compacted, ...), or all.
    batch
        Units a step: images, sequences, or sequences at one decode position. Default: as captured.
    baseline
        What the speedup is over: same-params or same-flops.
    dtype
        Default: what the profile names.
    runtime
        How operators become kernels. Default: what the profile names.
    threshold
        Decide anew at early exits that kept their scores.
    capacity_factor
        Rows that an expert has room for over its even share, where the strategy is padded. Default: 1.25.
    expert_cache
        Share of the experts' weights that the device keeps, where the strategy is offloaded. Default: what its memory has room for.
    phase
        prefill or decode, where a trace has both.
    timeline
        Write the kernels of a step for Perfetto or chrome://tracing.
    plot
        Draw the waterfall: .svg, .pdf or .png.
    json
        Print JSON.
    """
    at_least_one("batch", batch)
    one_of("baseline", baseline, BASELINES)
    writable(timeline)
    writable(plot, (".svg", ".pdf", ".png"))
    if ALL in (device, strategy) and (timeline is not None or plot is not None):
        raise CondsimError("--timeline and --plot need one device and one strategy, not all")
    began = time.perf_counter()
    opened = open_trace(trace)
    options: dict[str, Any] = {
        "batch": batch,
        "dtype": dtype,
        "runtime": runtime,
        "threshold": threshold,
        "phase": phase,
    }
    if capacity_factor is not None:
        options["capacity_factor"] = capacity_factor
    if expert_cache is not None:
        options["expert_cache"] = expert_cache
    check(opened, strategy, batch, phase, threshold)
    if ALL in (device, strategy):
        _many(opened, trace, device, strategy, baseline, options, json)
        return
    profile = profile_for(device, opened)
    from condsim.study.answer import answer

    found = answer(opened, profile, strategy, baseline, **options)
    result, measured = found.prediction, found.measured
    if timeline is not None:
        from condsim.predict.timeline import write_chrome_trace

        write_chrome_trace(result, timeline)
    if plot is not None:
        from condsim.show.plots import save_waterfall

        save_waterfall(result, plot, measured=found.measured_speedup, title=opened.name)
    if json:
        print_json({"command": "simulate", "trace": opened.name, **found.to_dict()})
        return
    from condsim.show.text import prediction_lines, waterfall_lines

    console = out()
    for line in prediction_lines(
        opened.name, result, found.speedups, measured, time.perf_counter() - began
    ):
        console.print(line)
    console.print()
    for line in waterfall_lines(result, found.measured_speedup, console.options.ascii_only):
        console.print(line)
    more = (
        f"condsim simulate {trace} --device all"
        if device is None
        else f"condsim simulate {trace} --device {device} --strategy all"
    )
    suggest(more, f"condsim compare {trace}" if measured else f"condsim measure {trace}")


def check(
    trace: Trace,
    strategy: str | None,
    batch: int | None,
    phase: str | None,
    threshold: float | None,
) -> None:
    """Raises CondsimError for what cannot be simulated on any device, before anything is calibrated."""
    from condsim.steps.rebatch import rebatch
    from condsim.strategies.choose import the_strategies

    if strategy != ALL:
        the_strategies(trace, strategy)
    rebatch(trace, batch, phase, threshold)


def _many(
    trace: Trace,
    where: str,
    device: str | None,
    strategy: str | None,
    baseline: str,
    options: dict[str, Any],
    json: bool,
) -> None:
    """A row for each device and strategy that it has, the fastest over its baseline first; then those that cannot be, with the reason."""
    from condsim.study.ranking import cases, every

    devices = all_devices(trace) if device == ALL else [profile_for(device, trace)]
    ways = None if strategy == ALL else [strategy]
    total = len(list(cases(trace, devices, ways, options["runtime"])))
    rows: list[dict[str, Any]] = []
    with progress() as step:
        for row in every(trace, devices, ways, baseline, **options):
            rows.append(row)
            step("simulate", len(rows), total)
    rows.sort(key=lambda r: -r.get("speedup", 0.0))
    if all("error" in row for row in rows):
        raise CondsimError(rows[0]["error"])
    if json:
        print_json({"command": "simulate", "trace": trace.name, "predictions": rows})
        return
    from condsim.show.text import predictions_table

    out().print(predictions_table(trace.name, rows))
    good = max((r for r in rows if "error" not in r), key=lambda r: r["speedup"])
    suggest(f"condsim simulate {where} --device {good['profile']} --strategy {good['strategy']}")


def compare(
    *traces: str,
    device: str | None = None,
    by: str | None = None,
    json: bool = False,
    csv: Path | None = None,
) -> None:
    """Predictions beside the measurements that the traces hold.

    Parameters
    ----------
    traces
        Folders of traces, or names of those that come with condsim.
    device
        Predict on this profile instead of the one that each trace was measured under.
    by
        segment or operator: where the time of a step goes, predicted beside measured (condsim measure TRACE --by segment measures it).
    json
        Print JSON.
    csv
        Also write the table to this file.
    """
    if not traces:
        raise CondsimError("compare needs at least one trace: condsim compare TRACE ...")
    one_of("by", by, PARTS)
    writable(csv)
    opened = [open_trace(t) for t in traces]
    without = [t.name for t in opened if (t.measurements if by is None else t.segments).empty]
    measures = f"condsim measure {traces[0]}" + ("" if by is None else " --by segment")
    if len(without) == len(opened):
        raise CondsimError(
            f"{', '.join(without)}: nothing was measured {'yet' if by is None else 'by segment yet'}; `{measures}` does"
        )
    if by is not None:
        _compare_parts(opened, device, by, without, json, csv)
        return
    from condsim.study.compare import compare as run
    from condsim.study.compare import errors_of

    table = run(opened, profile=None if device is None else profile_for(device, None))
    if csv is not None:
        write_text(csv, table.to_csv(index=False))
    summary = errors_of(table)
    if json:
        print_json(
            {"command": "compare", "rows": table, "summary": summary, "not_measured": without}
        )
        return
    from condsim.show.text import comparison_table, error_line

    console = out()
    console.print(comparison_table(table))
    console.print(error_line(summary))
    suggest(
        f"condsim simulate {traces[0]}", *([f"condsim measure {without[0]}"] if without else [])
    )


def _compare_parts(
    opened: list[Trace],
    device: str | None,
    by: str,
    without: list[str],
    json: bool,
    csv: Path | None,
) -> None:
    from condsim.study.compare import cancelled
    from condsim.study.compare import compare as run

    table = run(opened, None if device is None else profile_for(device, None), by)
    if csv is not None:
        write_text(csv, table.to_csv(index=False))
    if json:
        print_json(
            {
                "command": "compare",
                "by": by,
                "rows": table,
                "summary": cancelled(table),
                "not_measured": without,
            }
        )
        return
    from condsim.show.text import cancelled_line, parts_table

    console = out()
    console.print(parts_table(table, by))
    console.print(cancelled_line(cancelled(table), by))
    suggest(*(f"condsim measure {t} --by segment" for t in without[:1] or [opened[0].name]))


def all_devices(trace: Trace) -> list[HardwareProfile]:
    """Every profile that comes with condsim, the one the trace was measured under, and this machine where it was calibrated."""
    from condsim.hardware import hardware, profiles, this_machine

    found = {p.name: p for p in ([trace.profile] if trace.profile is not None else [])}
    own = this_machine(dtype=trace.dtype) if found else own_profile(dtype=trace.dtype)
    if own is not None:
        found.setdefault(own.name, own)
    for name in profiles():
        try:
            found.setdefault(name, hardware(name))
        except CondsimError as error:
            say(f"left out: {error}")
    return list(found.values())
