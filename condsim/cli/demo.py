"""demo: the whole way on this machine, in a few minutes."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from condsim.cli.arguments import local_profile
from condsim.cli.commands import cli_command
from condsim.cli.output import Step, command, out, print_json, progress, say, suggest
from condsim.errors import CondsimError

if TYPE_CHECKING:
    import pandas as pd

    from condsim.hardware import HardwareProfile

BATCHES = (32, 1)
"""Batch sizes that are measured; the first one in any case."""
BUDGET_S = 240.0
"""After so long only cases of the first batch size are begun: a busy machine takes longer."""
CAPTURED_BATCHES = 16
"""Batches of 32 that are captured."""
PROCESSES, PAIRS = 1, 30
ELSEWHERE = ("nvidia-h100-sxm", "google-tpu-v5e", "apple-neural-engine-m4")
"""A profile of each class of devices that is not this machine's."""


@cli_command("demo", "Start here: seven small models, measured and predicted.", place=10)
def demo(*, output: Path = Path("demo-out"), force: bool = False, json: bool = False) -> None:
    """Capture and measure a small model of each mechanism, and put predictions beside it.

    This machine is calibrated first. It takes some four minutes where two cores are idle.

    Parameters
    ----------
    output
        Folder for the traces.
    force
        Replace the traces of an earlier demo; what was measured is lost.
    json
        Print JSON.
    """
    began = time.monotonic()
    import torch

    import condsim.zoo as zoo
    from condsim.study.compare import compare, errors_of

    _check_output(output, list(zoo.ZOO), force)
    torch.set_num_threads(1)
    with progress() as step:
        profile = local_profile(step)
        say(f"profile: {profile.description}")
        folders = record(list(zoo.ZOO), output, step, force)
        skipped = time_all(folders, began, step)
    table = compare(list(folders.values()), profile=profile)
    summary = errors_of(table)
    others = elsewhere(folders, profile)
    if json:
        data = {"rows": table, "summary": summary, "not_measured": skipped, "elsewhere": others}
        print_json({"command": "demo", "profile": profile.name, **data})
        return
    _print_comparison(table, summary)
    _print_worst_waterfall(table, folders, profile)
    _print_elsewhere(others)
    for case in skipped:
        say(f"not measured, time was up: {case}")
    say(f"{time.monotonic() - began:.0f} s; the traces are in {output}/")
    first = next(iter(folders))
    suggest(
        command("simulate", output / first, "--batch", 8),
        command("simulate", output / first, "--device", "all"),
        command("compare", *folders.values()),
    )


def _check_output(output: Path, names: list[str], force: bool) -> None:
    """Raises CondsimError where the traces could not be saved. names: of the traces."""
    from condsim.trace.store import check_target

    if output.is_file():
        raise CondsimError(f"{output} is a file; name a folder for the traces")
    for name in names:
        check_target(output / name, force)


def record(names: list[str], output: Path, step: Step, force: bool) -> dict[str, Path]:
    """Capture each model. force: replace the traces of an earlier demo. Returns name → folder."""
    from condsim.api import capture
    from condsim.zoo.specs import load_spec

    folders = {}
    for done, name in enumerate(names):
        step("capture", done, len(names))
        example = load_spec(name)
        trace = capture(
            example.model,
            example.inputs[:CAPTURED_BATCHES],
            measure=False,
            name=name,
            quality=example.quality,
            quality_name=example.quality_name,
            higher_is_better=example.higher_is_better,
            spec=name,
            command="condsim demo",
        )
        folders[name] = trace.save(output / name, force)
    step("capture", len(names), len(names))
    return folders


def time_all(folders: dict[str, Path], began: float, step: Step) -> list[str]:
    """Measure every trace at the first batch size, then at the others while there is time.

    folders: name → folder of a trace. began: when the demo did, by `time.monotonic`. Returns what
    was left out.
    """
    from condsim.measure import measure
    from condsim.trace.read import load
    from condsim.trace.store import add_measured

    cases = [(name, batch) for batch in BATCHES for name in folders]
    skipped = []
    for done, (name, batch) in enumerate(cases):
        step("measure", done, len(cases))
        time_is_up = time.monotonic() - began > BUDGET_S
        if time_is_up and batch != BATCHES[0]:
            skipped.append(f"{name} at batch {batch}")
            continue
        opened = load(folders[name])
        timed = measure(opened, batches=[batch], processes=PROCESSES, pairs=PAIRS)
        add_measured(folders[name], timed, opened)
    step("measure", len(cases), len(cases))
    return skipped


def elsewhere(folders: dict[str, Path], profile: HardwareProfile) -> list[dict[str, Any]]:
    """Each trace on a device of each class, with the fastest strategy that it has there.

    profile: of this machine. Returns rows of `condsim.study.ranking.predict_all`, at the first
    batch size.
    """
    from condsim.hardware import hardware
    from condsim.study.ranking import predict_all
    from condsim.trace.read import load

    devices = [profile, *(hardware(name) for name in ELSEWHERE)]
    fastest: list[dict[str, Any]] = []
    for folder in folders.values():
        rows = list(predict_all(load(folder), devices, batch=BATCHES[0]))
        for device in devices:
            fastest.append(_fastest_on(device, rows))
    return fastest


def _fastest_on(device: HardwareProfile, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The row of a device that has the shortest latency."""
    possible = [row for row in rows if row["profile"] == device.name and "error" not in row]
    return min(possible, key=lambda row: float(row["latency_s"]))


def _print_comparison(table: pd.DataFrame, summary: dict[str, Any]) -> None:
    from condsim.show.comparison import comparison_table
    from condsim.show.text import error_line

    console = out()
    console.print(comparison_table(table))
    console.print(error_line(summary))


def _print_worst_waterfall(
    table: pd.DataFrame, folders: dict[str, Path], profile: HardwareProfile
) -> None:
    """The waterfall of the case that lost most of its FLOP saving. table: of `condsim.compare`."""
    from condsim.predict.simulate import simulate
    from condsim.show.bars import waterfall_lines
    from condsim.study.answer import measured_beside
    from condsim.trace.read import load

    cases = table[table["baseline"] == "same-params"]
    if cases.empty:
        return
    lost = cases["flop_ratio"] / cases["measured_speedup"]
    worst = cases.iloc[int(lost.to_numpy().argmax())]
    trace = load(folders[worst["trace"]])
    batch = int(worst["batch"])
    p = simulate(trace, profile, worst["strategy"], batch, phase=worst["phase"])
    measured = measured_beside(trace, profile, p)
    title = f"{trace.name} · {p.strategy} · batch {p.batch} · against {p.baseline}"
    console = out()
    console.print()
    console.print(title, style="bold")
    for line in waterfall_lines(p, measured, console.options.ascii_only):
        console.print(line)


def _print_elsewhere(rows: list[dict[str, Any]]) -> None:
    """What the traces gain on a device of each class."""
    from condsim.show.predictions import elsewhere_table

    console = out()
    console.print()
    console.print(elsewhere_table(rows))
