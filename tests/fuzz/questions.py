"""What an input is asked. Every question gives an answer that `fuzz.judge` looks at, or raises."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import types
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import condsim
from condsim.decide.sweep.table import read_bytes
from condsim.errors import CondsimError
from condsim.hardware import load_profile
from condsim.predict.prediction import Prediction
from condsim.serve.requests import poisson
from condsim.show.report import report
from condsim.study import routing
from condsim.study.answer import answer as answer_of
from condsim.study.compare import compare
from condsim.trace import Trace
from fuzz.bases import DEVICES, GRID, SWEPT, SWEPT_BY, WITH_OTHERS

BASES = "{bases}"
"""Stands for the folder of the bases in a command line."""


@dataclass
class Answer:
    """What came back: predictions, tables of numbers, other values, and what a command said."""

    predictions: list[Prediction] = field(default_factory=list)
    tables: list[Any] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)
    code: int | None = None
    out: str = ""
    err: str = ""


def put(question: dict[str, Any], folder: Path, bases: Path) -> Answer:
    """Put a question. folder: of the input. Raises whatever condsim raises."""
    return QUESTIONS[question["ask"]](question, folder, bases)


@cache
def base(bases: Path, name: str) -> Trace:
    """A trace that is whole."""
    return condsim.load(bases / name)


def ask_trace(question: dict[str, Any], folder: Path, _bases: Path) -> Answer:
    """Open a trace, count, do one thing more, and simulate."""
    trace = condsim.load(folder / "trace")
    for site in trace.sites:
        trace.unit_counts(site.name)
    answer = MORE[question["more"]](trace, question["device"], folder)
    arguments = {"device": question["device"], **question.get("arguments", {})}
    device = arguments.pop("device")
    answer.predictions.append(condsim.simulate(trace, device, **arguments))
    return answer


def _save(trace: Trace, _device: str, folder: Path) -> Answer:
    trace.save(folder / "saved")
    condsim.load(folder / "saved").save(folder / "again")
    return Answer()


def _report(trace: Trace, device: str, _folder: Path) -> Answer:
    html = report(trace, answer_of(trace, device), [], "condsim report")
    assert "<script" not in html, "the report has a script"
    html.encode()
    return Answer()


MORE: dict[str, Callable[[Trace, str, Path], Answer]] = {
    "nothing": lambda trace, device, folder: Answer(),
    "cases": lambda trace, device, folder: Answer(tables=[compare([trace], DEVICES[0])]),
    "segments": lambda trace, device, folder: Answer(
        tables=[compare([trace], DEVICES[0], "segment")]
    ),
    "save": _save,
    "routing": lambda trace, device, folder: Answer(tables=[routing.load(trace)]),
    "batch 1": lambda trace, device, folder: Answer([condsim.simulate(trace, device, batch=1)]),
    "report": _report,
}
"""What may be done with a trace beside counting and simulating."""


def ask_profile(question: dict[str, Any], folder: Path, bases: Path) -> Answer:
    """Read a profile and simulate on it."""
    profile = load_profile(folder / "profile.yaml")
    arguments = question.get("arguments", {})
    arguments.pop("device", None)
    return Answer([condsim.simulate(base(bases, question["base"]), profile, **arguments)])


def ask_arguments(question: dict[str, Any], _folder: Path, bases: Path) -> Answer:
    """Simulate a trace that is whole with any arguments."""
    arguments = {"device": DEVICES[1], **question["arguments"]}
    device = arguments.pop("device")
    return Answer([condsim.simulate(base(bases, question["base"]), device, **arguments)])


def ask_command(question: dict[str, Any], folder: Path, bases: Path) -> Answer:
    """Run a command line in the folder of the input."""
    from condsim.cli import main

    words = [word.replace(BASES, str(bases)) for word in question["words"]]
    out, err = io.StringIO(), io.StringIO()
    before = os.getcwd()
    os.chdir(folder)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main(words)
    finally:
        os.chdir(before)
    left = sorted(path.name for path in folder.iterdir() if path.name.startswith(".condsim"))
    assert not left, f"the command left {left}"
    return Answer(code=code, out=out.getvalue(), err=err.getvalue())


def ask_upload(question: dict[str, Any], folder: Path, _bases: Path) -> Answer:
    """Give a zip or the files of a folder to the dashboard."""
    from condsim.dashboard.parts import upload

    into = folder / "into"
    into.mkdir()
    if "zip" in question:
        kept = upload.keep_zip((folder / question["zip"]).read_bytes(), "a.zip", into)
    else:
        files = [(name, (folder / stored).open("rb")) for name, stored in question["files"]]
        kept = upload.keep_files(files, "t", into)
    assert [path.name for path in into.iterdir()] == [kept], "more than the trace was kept"
    return Answer([condsim.simulate(condsim.load(into / kept), DEVICES[0])])


def ask_recorded(question: dict[str, Any], folder: Path, _bases: Path) -> Answer:
    """Import routing, count it, and write it in both ways."""
    layers, experts, top_k = question["shape"]
    shape = condsim.ModelShape(layers=layers, experts=experts, top_k=top_k)
    file, format, phase = folder / question["file"], question["format"], question["phase"]
    trace = condsim.import_routing(file, format, model=shape, phase=phase)
    trace.save(folder / "saved")
    again = condsim.load(folder / "saved")
    for site in again.sites:
        again.unit_counts(site.name)
    again.export_routing(folder / "exported.npz")
    return Answer(tables=[routing.load(again)])


def ask_sweep(question: dict[str, Any], folder: Path, bases: Path) -> Answer:
    """Open the table of a sweep as the dashboard does, and go on with it."""
    from condsim.dashboard import sweep as page
    from condsim.show.sweep import points_table, summary_line

    file = folder / question["file"]
    table = read_bytes(io.BytesIO(file.read_bytes()), file.name)
    summary_line(table)
    points_table(table, 20)
    predicted = table[table["error"].isna()]
    if len(predicted):
        figure = page.figure_of(predicted, "")
        figure.draw()
        figure.chart.to_dict()
    again = condsim.sweep(base(bases, SWEPT), GRID, SWEPT_BY, out=file, details=question["details"])
    assert again["error"].isna().all(), "a point that has a prediction has none now"
    return Answer(tables=[table, again])


def ask_call(question: dict[str, Any], folder: Path, bases: Path) -> Answer:
    """Call a public function of the library."""
    name, given = question["function"], question["arguments"]
    usual = _usual_arguments(name, bases, base(bases, question["base"]))
    before = os.getcwd()
    os.chdir(folder)
    try:
        result = getattr(condsim, name)(**{**usual, **given})
    finally:
        os.chdir(before)
    if isinstance(result, Prediction):
        return Answer([result])
    if name == "simulate_many":
        return Answer(result)
    return Answer(values=[result])


def _usual_arguments(name: str, bases: Path, trace: Trace) -> dict[str, Any]:
    """What a function is called with, unless another value is tried."""
    device = DEVICES[0]
    drawn = {"layers": 2, "experts": 8, "top_k": 2}
    usual: dict[str, dict[str, Any]] = {
        "simulate": {"trace": trace, "profile": device},
        "simulate_many": {"trace": trace, "profile": device, "scenarios": [condsim.Scenario()]},
        "serve": {"trace": trace, "profile": device, "requests": poisson(100.0, 20)},
        "advise": {"subject": trace, "profile": device},
        "sweep": {"subject": trace, "over": {"batch": [1, 2]}, "profile": device},
        "coverage": {"trace": trace, "profile": device, "most_priced": 4},
        "drift": {"a": trace, "b": trace, "profile": device},
        "speculate": {"trace": trace, "profile": device},
        "frontier": {"trace": bases / WITH_OTHERS, "profile": device},
        "compare": {"traces": trace, "profile": device},
        "load": {"folder": bases / WITH_OTHERS},
        "hardware": {"name_or_path": device},
        "import_routing": {"files": "nowhere.npz"},
        "routing": {"name": "mixtral", **drawn},
        "fit_routing": {"trace": base(bases, "moe-bytes")},
    }
    return usual.get(name, {})


QUESTIONS: dict[str, Callable[[dict[str, Any], Path, Path], Answer]] = {
    "trace": ask_trace,
    "profile": ask_profile,
    "arguments": ask_arguments,
    "command": ask_command,
    "upload": ask_upload,
    "recorded": ask_recorded,
    "sweep": ask_sweep,
    "call": ask_call,
}


def keep_still(cache_folder: Path) -> None:
    """Let nothing calibrate, serve or read what a user has kept, in this process."""

    def refuse(*_: object, **__: object) -> Any:
        raise CondsimError("nothing is calibrated or served while inputs are tried")

    os.environ["XDG_CACHE_HOME"] = str(cache_folder)
    os.execv = refuse
    stub = types.ModuleType("condsim.api")
    stub.calibrate = stub.capture = stub.Training = refuse  # type: ignore[attr-defined]
    sys.modules["condsim.api"] = stub
