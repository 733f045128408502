"""simulate: from a trace to a prediction, on one device or on all."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from condsim.cli.arguments import check_output_file
from condsim.cli.commands import cli_command
from condsim.cli.output import command, out, print_json, progress, suggest
from condsim.cli.scenario import ALL, AS_CAPTURED, ScenarioOptions
from condsim.cli.simulated import SimulatedModel, SimulatedTrace, simulated
from condsim.errors import CondsimError

if TYPE_CHECKING:
    from condsim.study.answer import Answer

PLOTS = (".svg", ".pdf", ".png")


@cli_command("simulate", "Predict a trace on a device: where did the saving go?", place=60)
def simulate(
    trace: str,
    /,
    *,
    scenario: Annotated[ScenarioOptions, Parameter(name="*")] = AS_CAPTURED,
    timeline: Path | None = None,
    plot: Path | None = None,
    json: bool = False,
) -> None:
    """Predict speedup, latency, energy and memory, and where the rest of the FLOP saving went.

    Parameters
    ----------
    trace
        Folder of a trace, the name of one that comes with condsim, or of a model (condsim models).
    timeline
        Write the kernels of a step for Perfetto or chrome://tracing, of the fastest strategy where
        all are asked for.
    plot
        Draw the waterfall: .svg, .pdf or .png.
    json
        Print JSON.
    """
    scenario.check()
    check_output_file(timeline)
    check_output_file(plot, PLOTS)
    files = {"timeline": timeline, "plot": plot}
    if scenario.device == ALL and any(files.values()):
        raise CondsimError("--timeline and --plot need one device, not all")
    began = time.perf_counter()
    asked = simulated(trace, scenario)
    if scenario.names_all:
        _simulate_all(asked, files, json)
        return
    answered = asked.answer(scenario.strategy)
    _draw(answered, asked.name, **files)
    if json:
        print_json({"command": "simulate", "trace": asked.name, **answered.to_dict()})
        return
    _print_answer(answered, asked.name, time.perf_counter() - began)
    _print_loads(asked, answered)
    _suggest_more(answered, trace, scenario, of_model=isinstance(asked, SimulatedModel))


def _draw(answered: Answer, name: str, timeline: Path | None, plot: Path | None) -> None:
    """Write what was asked for into files."""
    if timeline is not None:
        from condsim.predict.timeline import write_chrome_trace

        write_chrome_trace(answered.prediction, timeline)
    if plot is not None:
        from condsim.show.plots import save_waterfall

        save_waterfall(answered.prediction, plot, answered.measured, name)


def _suggest_more(answered: Answer, trace: str, scenario: ScenarioOptions, of_model: bool) -> None:
    device = scenario.device
    if of_model:
        batch = str(4 * answered.prediction.batch)
        suggest(command("simulate", trace, "--device", str(device), "--batch", batch))
        return
    more = ["--device", ALL] if device is None else ["--device", device, "--strategy", ALL]
    beside = "measure" if answered.measured is None else "compare"
    suggest(command("simulate", trace, *more), command(beside, trace))


def _print_answer(answered: Answer, name: str, seconds: float) -> None:
    """The numbers and the waterfall. name: of the trace. seconds: that the answer took."""
    from condsim.show.bars import waterfall_lines
    from condsim.show.predictions import (
        memory_line,
        memory_table,
        prediction_lines,
        ranks_table,
        rival_lines,
    )

    console = out()
    prediction, measured = answered.prediction, answered.measured
    for line in prediction_lines(name, prediction, answered.speedups, measured, seconds):
        console.print(line)
    for line in rival_lines(answered.rivals):
        console.print(line)
    console.print()
    plain = console.options.ascii_only
    for bar in waterfall_lines(prediction, measured, plain):
        console.print(bar)
    if prediction.memory.training is not None:
        console.print()
        console.print(memory_table(prediction))
        console.print(memory_line(prediction))
    if len(prediction.devices):
        console.print()
        console.print(ranks_table(prediction.devices))


def _print_loads(asked: SimulatedTrace | SimulatedModel, answered: Answer) -> None:
    """What waits for what, and what other loads come to, of a model on several devices."""
    from condsim.show.ranks import loads_lines, waits_line

    devices = answered.prediction.devices
    if not len(devices):
        return
    out().print(waits_line(devices))
    loads = list(asked.loads(answered.prediction.strategy))
    for line in loads_lines(loads, answered.prediction.baseline):
        out().print(line)


def _simulate_all(
    asked: SimulatedTrace | SimulatedModel, files: Mapping[str, Path | None], json: bool
) -> None:
    """Print a row a device and strategy, the best first, and on one device the whole answer of
    that one.

    Rows that cannot be predicted follow, with the reason. files: that the best is drawn into.
    """
    began = time.perf_counter()
    rows = _predict_all(asked)
    table = asked.table(rows)
    if all("error" in row for row in rows):
        raise CondsimError(rows[0]["error"])
    fastest = rows[0]["strategy"]
    answered = None if asked.scenario.device == ALL else asked.answer(fastest)
    if answered is not None:
        _draw(answered, asked.name, **files)
    if json:
        print_json({"command": "simulate", "trace": asked.name, "predictions": rows})
        return
    out().print(table)
    if answered is not None:
        out().print()
        _print_answer(answered, asked.name, time.perf_counter() - began)
        _print_loads(asked, answered)
    best = ["--device", rows[0]["profile"]]
    if isinstance(asked, SimulatedModel):
        best += ["--batch", str(rows[0]["batch"])]
    if asked.scenario.strategy is not None or isinstance(asked, SimulatedTrace):
        best += ["--strategy", fastest]
    suggest(command("simulate", asked.where, *best))


def _predict_all(asked: SimulatedTrace | SimulatedModel) -> list[dict[str, Any]]:
    """All rows of a question, with progress."""
    from condsim.study.ranking import candidates

    how = (asked.strategies, asked.scenario.runtime)
    total = len(list(candidates(asked.trace, asked.devices, *how)))
    rows: list[dict[str, Any]] = []
    with progress() as step:
        for row in asked.rows():
            rows.append(row)
            step("simulate", min(len(rows), total), total)
    return rows
