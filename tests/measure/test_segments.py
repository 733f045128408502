"""Times by segment: the recorder's operators one by one, and compared later without torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import condsim
from condsim.cli import main
from condsim.errors import CondsimError
from condsim.measure import measure_segments, segments
from condsim.measure.gate import Gate
from condsim.measure.plan import Plan
from condsim.measure.profiler import ProfiledCall, ProfilerCost
from condsim.measure.replay import Captured
from condsim.measure.segments import (
    LOST,
    TimedCall,
    Timings,
    Tools,
    middle_half,
    require_same_operators,
    rows_of,
    time_segments,
)
from condsim.predict.simulate import simulate
from condsim.trace import SEGMENTS, Trace

DEVICE = "amd-epyc-9655"


def plan(**fields: Any) -> Plan:
    """A short plan against one baseline."""
    return Plan(**{"baselines": ("same-params",), "pairs": 2, "steps": 2, **fields})


@pytest.fixture(autouse=True)
def free_profiler(monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = ProfilerCost(0.0, 0.0)
    monkeypatch.setattr(segments, "measure_profiler_cost", lambda _pool, _yardstick: nothing)


@pytest.mark.parametrize("batch", [1, 5])
@pytest.mark.parametrize(
    ("model", "strategies", "phase"),
    [
        ("leaving", ["compacted", "wait", "masked"], "prefill"),
        ("talking", ["compacted"], "prefill"),
        ("talking", ["compacted"], "decode"),
    ],
)
def test_calls_are_those_predicted(
    model: str, strategies: list[str], phase: str, batch: int, request: pytest.FixtureRequest
) -> None:
    captured: Captured = request.getfixturevalue(model)
    asked = plan(batch_sizes=[batch], strategies=strategies, phase=phase)
    table = time_segments(captured.trace, captured.live, captured.inputs, asked)
    assert tuple(table.columns) == SEGMENTS
    assert set(table["strategy"]) == set(strategies)
    for (strategy, step, side), measured in table.groupby(["strategy", "step", "side"]):
        prediction = simulate(captured.trace, DEVICE, strategy, batch, phase=phase, steps=[step])
        predicted = prediction.segments[prediction.segments["side"] == side]
        assert calls_of(measured) == calls_of(predicted)
        assert measured["seconds"].sum() > 0
        assert measured["whole_s"].nunique() == 1


def calls_of(table: pd.DataFrame) -> dict[Any, float]:
    """(segment, operator) → calls, without those that never run."""
    calls = table.set_index(["segment", "operator"])["calls"]
    return calls[calls > 0].to_dict()


def test_another_stream_than_the_recorded_one_is_an_error(
    leaving: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    label_operators = segments.label_operators
    monkeypatch.setattr(segments, "label_operators", lambda *asked: label_operators(*asked)[:-1])
    message = (
        r"profiler saw (\d+) operators and the recorder \d+; "
        r"they part at number \d+: '\w+' and 'none'"
    )
    with pytest.raises(CondsimError, match=message):
        time_segments(leaving.trace, leaving.live, leaving.inputs, plan())


def test_only_repeat_can_be_timed_by_segment(leaving: Captured) -> None:
    for protocol in ("stream", "loop"):
        with pytest.raises(CondsimError, match=rf"protocol 'repeat'.*got '{protocol}'"):
            time_segments(leaving.trace, leaving.live, leaving.inputs, plan(protocol=protocol))


def call(*seconds: float) -> ProfiledCall:
    """A call of as many operators, "mm" and "relu" in turn."""
    names = ("mm", "relu", "mm")[: len(seconds)]
    return ProfiledCall(names, np.array(seconds), np.ones(len(seconds), int))


def tools(limit_s: float) -> Tools:
    gate = Gate()
    gate.is_open = lambda reading_s: reading_s <= limit_s  # type: ignore[method-assign]
    return Tools(gate, np.random.default_rng(0), ProfilerCost(0.0, 0.5))


def test_undisturbed_calls_count() -> None:
    labels = [("trunk", "mm"), ("exit0=1", "relu"), ("trunk", "mm")]
    timings = Timings(
        [TimedCall(call(1.0, 2.0, 3.0), 1.0), TimedCall(call(9.0, 9.0, 9.0), 5.0)],
        [(7.0, 1.0), (50.0, 5.0)],
    )
    trunk, behind_exit = rows_of(labels, timings, tools(limit_s=2.0))
    assert (trunk["segment"], trunk["operator"], trunk["calls"]) == ("trunk", "mm", 2)
    assert trunk["seconds"] == pytest.approx(1.0 + 3.0 - 2 * 0.5)
    assert behind_exit["seconds"] == pytest.approx(2.0 - 0.5)
    assert trunk["profiler_s"] == pytest.approx(1.0)
    assert (trunk["whole_s"], trunk["repetitions"], trunk["quiet"]) == (7.0, 1, True)


def test_where_all_calls_are_disturbed_those_that_had_the_core_count() -> None:
    timed = [TimedCall(call(2.0), 5.0), TimedCall(call(9.0), LOST)]
    (row,) = rows_of([("trunk", "mm")], Timings(timed, [(7.0, 5.0)]), tools(limit_s=2.0))
    assert row["seconds"] == pytest.approx(2.0 - 0.5)
    assert not row["quiet"]


def test_the_middle_half_by_duration_counts() -> None:
    calls = [call(seconds) for seconds in (5.0, 1.0, 9.0, 3.0)]
    assert [float(c.seconds[0]) for c in middle_half(calls)] == [3.0, 5.0]
    assert middle_half(calls[:1]) == calls[:1]


def test_operators_that_part_are_named() -> None:
    require_same_operators(call(1.0, 1.0), [("", "mm"), ("", "relu")])
    with pytest.raises(CondsimError, match="part at number 1: 'relu' and 'gelu'"):
        require_same_operators(call(1.0, 1.0), [("", "mm"), ("", "gelu")])
    with pytest.raises(CondsimError, match="part at number 2: 'none' and 'add'"):
        require_same_operators(call(1.0, 1.0), [("", "mm"), ("", "relu"), ("", "add")])


@pytest.fixture(scope="module")
def timed(leaving: Captured) -> Trace:
    """The trace with what a fresh process measured."""
    return measure_segments(leaving.trace, batches=[8, 12], pairs=2, steps=1)


def test_a_fresh_process_measures_every_batch_size(timed: Trace) -> None:
    assert set(timed.segments["where"]) == {"fresh process"}
    assert set(timed.segments["batch"]) == {8, 12}


def test_measured_segments_are_compared_with_predicted_ones(timed: Trace) -> None:
    table = condsim.compare(timed, DEVICE, by="segment")
    assert list(table["batch"].unique()) == [8, 12]
    assert {"trunk", "exit0 router", "exit0=1"} < set(table["segment"])
    assert not table["same_machine"].any()
    np.testing.assert_allclose(table.groupby(["batch", "side"])["share"].sum(), 1.0)
    for (batch, side), of_side in table.groupby(["batch", "side"]):
        steps = sorted(timed.segments.loc[timed.segments["batch"] == batch, "step"].unique())
        prediction = simulate(timed, DEVICE, batch=batch, steps=steps, protocol="repeat")
        whole_s = prediction.latency_s if side == "conditional" else prediction.baseline_s
        assert of_side["predicted_s"].sum() == pytest.approx(whole_s, rel=1e-12)


def test_comparing_by_operator_needs_no_torch(timed: Trace, tmp_path: Path) -> None:
    folder = timed.save(tmp_path / "trace")
    code = (
        f"import sys, condsim; condsim.compare({str(folder)!r}, {DEVICE!r}, by='operator'); "
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_command_line_shows_segments(
    timed: Trace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = timed.save(tmp_path / "trace")
    assert main(["compare", str(folder), "--by", "segment", "--device", DEVICE]) == 0
    shown = capsys.readouterr().out
    assert "exit0 router" in shown
    assert "sum of the |errors| of each segment" in shown


def test_measuring_again_replaces_the_same_case(timed: Trace) -> None:
    again = measure_segments(timed, batches=[8], pairs=1, steps=1).segments
    assert set(again["batch"]) == {8, 12}
    assert (again["batch"] == 8).sum() == (timed.segments["batch"] == 8).sum()
    key = ["batch", "side", "segment", "operator", "step", "process"]
    assert not again.duplicated(key).any()


def test_what_was_not_measured_says_how_to(
    leaving: Captured, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = leaving.trace.save(tmp_path / "trace")
    assert main(["compare", str(folder), "--by", "segment"]) == 2
    how = f"nothing was measured by segment yet; `condsim measure {folder} --by segment` does"
    assert how in capsys.readouterr().err
