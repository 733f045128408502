"""Measuring in fresh processes: a trace in, the same trace with timings out."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from condsim.errors import CondsimError
from condsim.measure import measure, measure_segments, yardsticks
from condsim.measure.plan import Plan
from condsim.measure.processes import Processes, Result
from condsim.measure.replay import Captured
from condsim.trace import MEASUREMENTS, Trace


def test_round_trip(leaving: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yardsticks, "NOISY", float("inf"))
    told: list[tuple[str, int, int]] = []
    trace = measure(
        leaving.trace,
        strategies=["compacted", "wait"],
        batches=[8, 12],
        processes=1,
        pairs=2,
        steps=1,
        progress=lambda *step: told.append(step),
    )
    table = trace.measurements
    assert tuple(table.columns) == MEASUREMENTS
    assert set(table["where"]) == {"fresh process"}
    pairs = table.groupby(["strategy", "baseline", "batch"]).size()
    assert pairs.index.get_level_values("strategy").unique().tolist() == ["compacted", "wait"]
    assert len(pairs) == 8  # two strategies, baselines and batch sizes
    assert pairs.min() >= 2  # disturbed ones are run again
    assert told[-1] == ("measure (process 1 of 1)", 8, 8)


class Played:
    """Takes the place of `Processes.run`: remembers plans, and plays readings of the yardstick."""

    def __init__(self, seconds: list[float]) -> None:
        self.seconds = iter(seconds)
        self.plans: list[Plan] = []

    def __call__(self, plan: Plan, number: int, of: int) -> Result:
        self.plans.append(plan)
        readings = [{"read_64mb": 1.0}, {"read_64mb": next(self.seconds)}]
        return Result(pd.DataFrame({"pair": [0, 1]}), readings)


def test_a_noisy_process_is_run_once_more(
    leaving: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    played = Played([1.0, 1.3, 1.1, 1.25])
    monkeypatch.setattr(Processes, "run", lambda _self, *turn: played(*turn))
    table = measure(leaving.trace, processes=3, seed=5).measurements
    assert [plan.seed for plan in played.plans] == [5, 6, 7, 9]
    ratios = table.groupby("process")["yardstick_ratio"].first()
    assert ratios.to_dict() == {0: 1.0, 1: 1.3, 2: 1.1, 3: 1.25}
    assert len(table) == 8


def test_options_reach_the_plan(leaving: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    played = Played([1.0, 1.0])
    monkeypatch.setattr(Processes, "run", lambda _self, *turn: played(*turn))
    measure(leaving.trace, "wait", [8], baselines=None, pairs=7, decisions="trace", processes=1)
    monkeypatch.setattr(Trace, "with_segments", lambda *_: None)
    measure_segments(leaving.trace)
    whole, segments = played.plans
    assert (whole.strategies, whole.batch_sizes, whole.pairs) == (["wait"], [8], 7)
    assert whole.baselines == ("same-params", "same-flops")
    assert whole.decisions == "trace"
    assert segments == Plan(
        [None],
        baselines=("same-params",),
        pairs=36,
        steps=3,
        where="fresh process",
        yardstick_s=segments.yardstick_s,
    )


def test_a_trace_without_a_spec_says_who_can_time_it(leaving: Captured) -> None:
    message = r"no spec .* only condsim\.capture\(model, inputs, measure=True\) can"
    with pytest.raises(CondsimError, match=message):
        measure(with_spec(leaving.trace, None))


def with_spec(trace: Trace, spec: str | None) -> Trace:
    """The trace with another spec."""
    provenance = trace.header.provenance.model_copy(update={"spec": spec})
    header = trace.header.model_copy(update={"provenance": provenance})
    return dataclasses.replace(trace, header=header)


def test_what_goes_wrong_in_the_process_is_said_here(leaving: Captured) -> None:
    with pytest.raises(CondsimError, match=r"^spec: there is no file moved\.py$"):
        measure(with_spec(leaving.trace, "moved.py:make"), processes=1, pairs=1)


def test_a_folder_is_measured_and_not_written_to(
    leaving: Captured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    played = Played([1.0])
    monkeypatch.setattr(Processes, "run", lambda _self, *turn: played(*turn))
    folder = leaving.trace.save(tmp_path / "trace")
    before = {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    assert len(measure(folder, processes=1).measurements) == 2
    assert {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()} == before


@pytest.mark.parametrize(
    ("what", "options"),
    [
        ("processes", {"processes": 0}),
        ("pairs", {"pairs": 0}),
        ("batch", {"batches": [8, 0]}),
        ("threads", {"threads": 0}),
    ],
)
def test_bad_arguments(leaving: Captured, what: str, options: dict[str, Any]) -> None:
    with pytest.raises(CondsimError, match=f"{what} must be at least 1, got 0"):
        measure(leaving.trace, **options)


def test_an_unknown_keyword_is_refused(leaving: Captured) -> None:
    options: dict[str, Any] = {"threads": 2}
    with pytest.raises(TypeError, match="'threads'"):
        measure_segments(leaving.trace, **options)


def test_importing_needs_no_torch() -> None:
    code = (
        "import sys; from condsim.measure import measure, measure_segments, yardsticks; "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
