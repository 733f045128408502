"""Times by segment: the profiler sees what the recorder sees, call by call, and what was stored is compared without torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import condsim
from condsim.cli import main
from condsim.errors import CondsimError
from condsim.measure import measure_segments, profiled, segments
from condsim.measure.profiled import Cost, mark
from condsim.measure.protocol import Plan
from condsim.predict.simulate import simulate
from condsim.timing.cases import Pool, threads
from condsim.timing.yardstick import Yardstick
from condsim.trace import SEGMENTS, Trace
from measure.conftest import Captured

PLAN = {"baselines": ("same-params",), "pairs": 2, "steps": 2}


@pytest.fixture(autouse=True)
def free_profiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "cost", lambda _pool, _yardstick: Cost(0.0, 0.0))


def test_a_call_is_split_into_what_python_called() -> None:
    x, w = torch.ones(64, 256), torch.ones(256, 256)

    def run() -> None:
        for _ in range(2):
            torch.neg(x)  # outside of the marks
            mark()
            F.linear(x, w).relu().view(-1)
            mark()

    with torch.inference_mode():
        first, second = profiled.profiled(run)
    assert first.names == second.names == ("linear", "relu", "view")
    assert list(first.events[1:]) == list(second.events[1:])
    assert first.events[0] > first.events[2] == 1  # a composite calls others
    assert bool((first.seconds > 0).all())
    assert second.seconds.argmax() == 0  # 8 MFLOP against 16,384 elements and none


def test_a_tensor_that_is_made_is_one_operator() -> None:
    def run() -> None:
        mark()
        torch.tensor(3.0).neg()
        torch.empty(2).to(torch.float64)
        mark()

    with torch.inference_mode():
        (call,) = profiled.profiled(run)
    assert [n for n in call.names if n != "detach_"] == ["lift_fresh", "neg", "empty", "to"]


def test_the_profilers_cost_is_fitted_from_sequences(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        profiled,
        "_extra",
        lambda sequence, _yardstick: 2e-6 * len(sequence) + 1e-6 * sum(map(events_of, sequence)),
    )
    events: dict[object, int] = {}

    def events_of(call: object) -> int:
        if call not in events:
            events[call] = int(profiled._profile_once(call).sum())  # type: ignore[arg-type]
        return events[call]

    with threads(1):
        found = profiled.cost(Pool(), Yardstick(3))
    assert found.operator_s == pytest.approx(2e-6)
    assert found.event_s == pytest.approx(1e-6)
    assert found.of(np.array([1, 10])) == pytest.approx([3e-6, 12e-6])


@pytest.mark.parametrize("batch", [1, 5])
@pytest.mark.parametrize("phase", ["prefill", "decode"])
def test_calls_are_those_predicted(
    leaving: Captured, talking: Captured, phase: str, batch: int
) -> None:
    for c, strategies in ((leaving, ("compacted", "wait", "masked")), (talking, ("compacted",))):
        if phase not in set(c.trace.steps["phase"]):
            continue
        table = segments.time_segments(
            c.trace, c.live, c.batches, Plan([batch], strategies, phase=phase, **PLAN)
        )  # type: ignore[arg-type]
        assert tuple(table.columns) == SEGMENTS
        assert set(table["strategy"]) == set(strategies)
        for (strategy, step, side), group in table.groupby(["strategy", "step", "side"]):
            p = simulate(c.trace, "amd-epyc-9655", strategy, batch, phase=phase, steps=[step])
            predicted = p.segments[
                (p.segments["side"] == side) & (p.segments["calls"] > 0)
            ].set_index(["segment", "operator"])["calls"]
            assert (
                group.set_index(["segment", "operator"])["calls"].to_dict() == predicted.to_dict()
            )
            assert group["seconds"].sum() > 0
            assert group["whole_s"].nunique() == 1


def test_another_stream_than_the_recorded_one_is_an_error(
    leaving: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = segments._labels
    monkeypatch.setattr(segments, "_labels", lambda *a: original(*a)[:-1])
    with pytest.raises(
        CondsimError,
        match=r"profiler saw (\d+) operators and the recorder \d+; they part at number \d+: '\w+' and 'none'",
    ):
        segments.time_segments(leaving.trace, leaving.live, leaving.batches, Plan(**PLAN))  # type: ignore[arg-type]


def test_only_repeat_can_be_timed_by_segment(leaving: Captured) -> None:
    with pytest.raises(CondsimError, match=r"protocol 'repeat'.*got 'stream'"):
        segments.time_segments(
            leaving.trace, leaving.live, leaving.batches, Plan(protocol="stream", **PLAN)
        )  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def timed(leaving: Captured) -> Trace:
    return measure_segments(leaving.trace, batches=[8, 12], pairs=2, steps=1)


def test_from_a_fresh_process_to_a_comparison(
    timed: Trace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert set(timed.segments["where"]) == {"fresh process"}
    folder = timed.save(tmp_path / "trace")
    table = condsim.compare(folder, "amd-epyc-9655", by="segment")
    assert list(table["batch"].unique()) == [8, 12]
    assert {"trunk", "exit0 router", "exit0=1"} < set(table["segment"])
    np.testing.assert_allclose(table.groupby(["batch", "side"])["share"].sum(), 1.0)
    for (batch, side), group in table.groupby(["batch", "side"]):
        steps = sorted(timed.segments.loc[timed.segments["batch"] == batch, "step"].unique())
        p = simulate(timed, "amd-epyc-9655", batch=batch, steps=steps, protocol="repeat")
        assert group["predicted_s"].sum() == pytest.approx(
            p.latency_s if side == "conditional" else p.baseline_s, rel=1e-12
        )
    assert not table["same_machine"].any()
    code = f"import sys, condsim; condsim.compare({str(folder)!r}, 'amd-epyc-9655', by='operator'); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert main(["compare", str(folder), "--by", "segment", "--device", "amd-epyc-9655"]) == 0
    shown = capsys.readouterr().out
    assert "exit0 router" in shown
    assert "sum of the |errors| of each segment" in shown


def test_measuring_again_replaces_the_same_case(timed: Trace) -> None:
    again = measure_segments(timed, batches=[8], pairs=1, steps=1)
    assert again.segments.groupby("batch")["repetitions"].max().to_dict().keys() == {8, 12}
    assert len(again.segments[again.segments["batch"] == 8]) == len(
        timed.segments[timed.segments["batch"] == 8]
    )
    assert not again.segments.duplicated(
        ["batch", "side", "segment", "operator", "step", "process"]
    ).any()


def test_what_was_not_measured_says_how_to(
    leaving: Captured, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = leaving.trace.save(tmp_path / "trace")
    assert main(["compare", str(folder), "--by", "segment"]) == 2
    assert (
        f"nothing was measured by segment yet; `condsim measure {folder} --by segment` does"
        in capsys.readouterr().err
    )
