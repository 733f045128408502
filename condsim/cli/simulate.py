"""simulate: from a trace to a prediction, on one device or on all."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from condsim.cli.arguments import (
    all_devices,
    catalogue_model,
    check_output_file,
    open_trace,
    profile_for,
)
from condsim.cli.models import answer_of
from condsim.cli.output import command, out, print_json, progress, suggest
from condsim.cli.scenario import ALL, AS_CAPTURED, ScenarioOptions
from condsim.errors import CondsimError

if TYPE_CHECKING:
    from condsim.study.answer import Answer
    from condsim.trace import Trace

PLOTS = (".svg", ".pdf", ".png")


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
        Write the kernels of a step for Perfetto or chrome://tracing.
    plot
        Draw the waterfall: .svg, .pdf or .png.
    json
        Print JSON.
    """
    scenario.check()
    check_output_file(timeline)
    check_output_file(plot, PLOTS)
    one_prediction_is_drawn = timeline is not None or plot is not None
    if scenario.names_all and one_prediction_is_drawn:
        raise CondsimError("--timeline and --plot need one device and one strategy, not all")
    began = time.perf_counter()
    model = catalogue_model(trace)
    if model is not None:
        answered = answer_of(model, scenario)
    else:
        opened = open_trace(trace)
        scenario.check_with(opened)
        if scenario.names_all:
            _simulate_all(opened, trace, scenario, json)
            return
        answered = _answer(opened, scenario)
    name = answered.prediction.trace if model is None else model.name
    _draw(answered, name, timeline, plot)
    if json:
        print_json({"command": "simulate", "trace": name, **answered.to_dict()})
        return
    _print_answer(answered, name, time.perf_counter() - began)
    _suggest_more(answered, trace, scenario, of_model=model is not None)


def _answer(opened: Trace, scenario: ScenarioOptions) -> Answer:
    from condsim.study.answer import answer

    profile = profile_for(scenario.device, opened)
    return answer(opened, profile, scenario.strategy, scenario.baseline, **scenario.keywords())


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
    from condsim.show.tables import memory_table, prediction_lines, ranks_table, rival_lines

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
    if len(prediction.devices):
        console.print()
        console.print(ranks_table(prediction.devices))


def _simulate_all(trace: Trace, where: str, scenario: ScenarioOptions, json: bool) -> None:
    """Print a row a device and strategy, the fastest over its baseline first.

    Rows that cannot be predicted follow, with the reason. where: what the user called the trace.
    """
    rows = _predict_all(trace, scenario)
    rows.sort(key=lambda row: -row.get("speedup", 0.0))
    if all("error" in row for row in rows):
        raise CondsimError(rows[0]["error"])
    if json:
        print_json({"command": "simulate", "trace": trace.name, "predictions": rows})
        return
    from condsim.show.tables import predictions_table

    out().print(predictions_table(trace.name, rows))
    best = rows[0]
    chosen = ["--device", best["profile"], "--strategy", best["strategy"]]
    suggest(command("simulate", where, *chosen))


def _predict_all(trace: Trace, scenario: ScenarioOptions) -> list[dict[str, Any]]:
    """Rows of `condsim.study.ranking.predict_all`, with progress."""
    from condsim.study.ranking import candidates, predict_all

    if scenario.device == ALL:
        devices = all_devices(trace)
    else:
        devices = [profile_for(scenario.device, trace)]
    strategies = None if scenario.strategy == ALL else [scenario.strategy]
    keywords = scenario.keywords()
    total = len(list(candidates(trace, devices, strategies, scenario.runtime)))
    rows: list[dict[str, Any]] = []
    with progress() as step:
        for row in predict_all(trace, devices, strategies, scenario.baseline, **keywords):
            rows.append(row)
            step("simulate", len(rows), total)
    return rows
