"""demo: the whole way on this machine, in a few minutes."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from condsim.cli.output import Step, out, own_profile, print_json, progress, say, suggest
from condsim.errors import CondsimError

if TYPE_CHECKING:
    import pandas as pd

    from condsim.hardware import HardwareProfile

BATCHES = (32, 1)
BUDGET_S = 240.0
"""After so long, no case but those of the first batch size is begun: a busy machine takes longer."""
CAPTURED = 16
"""Batches of 32."""
PROCESSES, PAIRS = 1, 30
ELSEWHERE = ("nvidia-h100-sxm", "google-tpu-v5e", "apple-neural-engine-m4")
"""A profile of each class that is not this machine's."""


def demo(*, output: Path = Path("demo-out"), force: bool = False, json: bool = False) -> None:
    """Calibrate this machine, capture and measure a small trained model of each mechanism, and put the predictions beside it.

    Some four minutes where two cores are idle.

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
    from condsim.study.compare import compare
    from condsim.trace.store import check_target

    if output.is_file():
        raise CondsimError(f"{output} is a file; name a folder for the traces")
    for name in zoo.ZOO:
        check_target(output / name, force)
    torch.set_num_threads(1)
    with progress() as step:
        profile = own_profile(step)
        say(f"profile: {profile.description}")
        folders = record(list(zoo.ZOO), output, step, force)
        skipped = time_all(folders, began, step)
    table = compare(list(folders.values()), profile=profile)
    from condsim.study.compare import errors_of

    summary = errors_of(table)
    others = elsewhere(folders, profile)
    if json:
        print_json(
            {
                "command": "demo",
                "profile": profile.name,
                "rows": table,
                "summary": summary,
                "not_measured": skipped,
                "elsewhere": others,
            }
        )
        return
    show(table, summary, folders, profile)
    from condsim.show.text import elsewhere_table

    out().print()
    out().print(elsewhere_table(others))
    for case in skipped:
        say(f"not measured, time was up: {case}")
    say(f"{time.monotonic() - began:.0f} s; the traces are in {output}/")
    name = next(iter(folders))
    suggest(
        f"condsim simulate {output}/{name} --batch 8",
        f"condsim simulate {output}/{name} --device all",
        f"condsim compare {output}/*",
    )


def record(names: list[str], output: Path, step: Step, force: bool) -> dict[str, Path]:
    """Capture each model; force: replace those of an earlier demo. Returns name → folder."""
    from condsim.api import capture
    from condsim.zoo.specs import load_spec

    folders = {}
    for done, name in enumerate(names):
        step("capture", done, len(names))
        example = load_spec(name)
        trace = capture(
            example.model,
            example.inputs[:CAPTURED],
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
    """Measure every trace at the first batch size, then at the others while there is time. Returns what was left out."""
    from condsim.measure import measure
    from condsim.trace.store import add_measured, load

    cases = [(name, batch) for batch in BATCHES for name in folders]
    skipped = []
    for done, (name, batch) in enumerate(cases):
        step("measure", done, len(cases))
        if batch != BATCHES[0] and time.monotonic() - began > BUDGET_S:
            skipped.append(f"{name} at batch {batch}")
            continue
        opened = load(folders[name])
        timed = measure(opened, batches=[batch], processes=PROCESSES, pairs=PAIRS)
        add_measured(folders[name], timed, opened)
    step("measure", len(cases), len(cases))
    return skipped


def elsewhere(folders: dict[str, Path], profile: HardwareProfile) -> list[dict[str, Any]]:
    """Each trace with the fastest strategy that a device of each class has, at the first batch size: rows of `condsim.study.ranking.every`."""
    from condsim.hardware import hardware
    from condsim.study.ranking import every
    from condsim.trace.store import load

    devices = [profile, *(hardware(name) for name in ELSEWHERE)]
    found = []
    for folder in folders.values():
        rows = [row for row in every(load(folder), devices, batch=BATCHES[0]) if "error" not in row]
        found += [
            min((r for r in rows if r["profile"] == d.name), key=lambda r: r["latency_s"])
            for d in devices
        ]
    return found


def show(
    table: pd.DataFrame, summary: dict[str, Any], folders: dict[str, Path], profile: HardwareProfile
) -> None:
    """The table, and the waterfall of the case that lost most of its FLOP saving."""
    from condsim.predict.simulate import simulate
    from condsim.show.text import comparison_table, error_line, waterfall_lines
    from condsim.study.answer import measured_beside
    from condsim.trace.store import load

    console = out()
    console.print(comparison_table(table))
    console.print(error_line(summary))
    main = table[table["baseline"] == "same-params"]
    if main.empty:
        return
    worst = main.iloc[int((main["flop_ratio"] / main["measured_speedup"]).to_numpy().argmax())]
    trace = load(folders[worst["trace"]])
    prediction = simulate(
        trace, profile, strategy=worst["strategy"], batch=int(worst["batch"]), phase=worst["phase"]
    )
    measured = measured_beside(trace, profile, prediction)
    console.print()
    console.print(
        f"{trace.name} · {prediction.strategy} · batch {prediction.batch} · against {prediction.baseline}",
        style="bold",
    )
    for line in waterfall_lines(
        prediction, (measured or {}).get("measured_speedup"), console.options.ascii_only
    ):
        console.print(line)
