"""Pairs in a process: how many, in which order, of what; and nothing left behind."""

from __future__ import annotations

import gc
import json
import shutil
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from condsim.errors import CondsimError
from condsim.live.execution import Execution
from condsim.measure import measure_live, protocol, steps
from condsim.steps.rebatch import rebatch
from condsim.timing.yardstick import Yardstick
from condsim.trace import MEASUREMENTS
from measure.conftest import Captured

READING = {"read_64mb": 1.0}


@pytest.fixture(autouse=True)
def no_yardsticks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol.yardsticks, "read", lambda: READING)
    monkeypatch.setattr(protocol, "this_machine", lambda *_: None)
    monkeypatch.setattr(protocol.Gate, "open", lambda _self, _reading: True)


def measured(c: Captured, **options: Any) -> pd.DataFrame:
    return measure_live(c.trace, c.live, c.batches, **options).measurements


def test_every_repetition_is_kept(leaving: Captured) -> None:
    table = measured(leaving, pairs=10, steps=3)
    assert tuple(table.columns) == MEASUREMENTS
    assert set(table["baseline"]) == {"same-params", "same-flops"}
    for _, case in table.groupby("baseline"):
        assert list(case["pair"]) == list(range(12))  # the next multiple of the three steps
        assert case["step"].value_counts().to_dict() == {0: 4, 2: 4, 5: 4}
    assert bool((table[["conditional_s", "baseline_s"]] > 0).all(axis=None))
    assert bool((table["yardstick_ratio"] >= 1).all())
    assert not bool(table.isna().any(axis=None))


def test_several_threads_are_timed_by_the_wall_clock(
    leaving: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = set()
    monkeypatch.setattr(
        protocol, "clock_for", lambda _pauses: seen.add(torch.get_num_threads()) or protocol.CPU
    )
    table = measured(leaving, pairs=1, steps=1, threads=2)
    assert seen == {2}
    assert set(table["clock"]) == {"wall"}
    assert set(table["threads"]) == {2}
    assert {json.loads(f)["threads"] for f in table["fingerprint"]} == {2}


@pytest.mark.skipif(shutil.which("g++") is None, reason="TorchInductor needs a C++ compiler")
def test_a_compiled_model_runs_its_graphs_and_its_sites(leaving: Captured) -> None:
    from torch._dynamo.utils import counters

    counters.clear()
    table = measured(leaving, pairs=1, steps=1, runtime="compiled")
    assert set(table["runtime"]) == {"compiled"}
    assert counters["stats"]["unique_graphs"] > 1
    assert not counters["inline_call"]  # by name: no site was traced
    with torch.inference_mode():
        assert measured(leaving, pairs=1, steps=1)["runtime"].eq("eager").all()


def test_a_stream_is_not_measured_compiled(leaving: Captured) -> None:
    with pytest.raises(CondsimError, match="protocol 'stream' would time compilations"):
        measured(leaving, protocol="stream", runtime="compiled")


def test_a_stream_begins_without_the_kernels_of_cases_before(
    leaving: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    forgotten: list[int] = []
    monkeypatch.setattr(protocol, "forget_kernels", lambda: forgotten.append(1))
    measured(leaving, pairs=1, steps=1)
    assert not forgotten
    measured(leaving, pairs=1, protocol="stream")
    assert len(forgotten) == 2  # of each baseline


def test_a_disturbed_pair_is_run_again_and_kept(
    leaving: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    readings = iter(
        [1.0, 1.0, 9.0, 1.0, 9.0, 9.0]
    )  # the second of three pairs ends disturbed and is repeated, the third never counts
    monkeypatch.setattr(protocol.Gate, "wait", lambda _self, _patience: (1.0, 0.0))
    monkeypatch.setattr(protocol.Gate, "open", lambda _self, reading: reading < 2)
    monkeypatch.setattr(Yardstick, "after", lambda _self: next(readings))
    next(readings)
    table = measured(leaving, pairs=3, steps=1, baselines=("same-params",))
    assert list(table["yardstick_s"]) == [1.0, 9.0, 1.0, 9.0, 9.0]
    assert list(table["pair"]) == [0, 1, 2, 3, 4]


def test_a_gate_waits_until_nothing_disturbs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    gate = protocol.Gate(fast_s=1.0)
    readings = iter([1.0, 1.5, 1.3, 1.1])
    monkeypatch.setattr(Yardstick, "_read", lambda _self: next(readings))
    gate.read = Yardstick(readings=1)
    monkeypatch.setattr(protocol, "WAITED_S", 0.0)
    reading, _ = gate.wait(patience_s=60.0)
    assert reading == 1.1
    assert not gate.open(1.13)
    assert gate.open(1.12)


def test_measuring_again_adds_another_process(leaving: Captured) -> None:
    once = measure_live(leaving.trace, leaving.live, leaving.batches, pairs=2, steps=1)
    twice = measure_live(once, leaving.live, leaving.batches, pairs=2, steps=1, strategies="wait")
    assert twice.measurements.groupby("process")["strategy"].first().to_dict() == {
        0: "compacted",
        1: "wait",
    }
    assert len(leaving.trace.measurements) == 0


def order_of_sides(c: Captured, monkeypatch: pytest.MonkeyPatch, **options: Any) -> list[str]:
    """Which side every timed call was of."""
    seen: list[str] = []

    def watched(side: Any, step: Any, clock: Any) -> float:
        if clock is not protocol.WALL:  # a warm-up
            seen.append(f"{next(iter(side.way.values()))} {step.index}")
        return 1.0

    with monkeypatch.context() as patch:
        patch.setattr(protocol.Side, "run", watched)
        patch.setattr(protocol, "clock_for", lambda _: protocol.CPU)
        patch.setattr(protocol.Gate, "wait", lambda _self, _patience: (1.0, 0.0))
        patch.setattr(protocol.Gate, "open", lambda _self, _reading: True)
        measured(c, **options)
    return seen


def test_order_within_a_pair_is_random_and_seeded(
    leaving: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"pairs": 16, "steps": 1, "baselines": ("same-params",)}
    first = order_of_sides(leaving, monkeypatch, seed=1, **options)
    pairs = [first[i : i + 2] for i in range(0, len(first), 2)]
    assert all(sorted(p) == ["compacted 0", "same-params 0"] for p in pairs)
    assert 0 < sum(p[0] == "compacted 0" for p in pairs) < 16
    assert order_of_sides(leaving, monkeypatch, seed=1, **options) == first
    assert order_of_sides(leaving, monkeypatch, seed=2, **options) != first


def test_a_stream_goes_on_from_step_to_step(
    leaving: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = order_of_sides(
        leaving, monkeypatch, protocol="stream", pairs=7, baselines=("same-flops",)
    )
    conditional = [int(c.split()[1]) for c in calls if c.startswith("compacted")]
    assert conditional == [
        5,
        0,
        0,
        1,
        1,
        2,
        2,
        3,
        3,
        4,
        4,
        5,
        5,
        0,
    ]  # the step before, untimed, then the step
    table = measured(leaving, protocol="stream", pairs=7, baselines=("same-flops",))
    assert list(table["step"]) == [0, 1, 2, 3, 4, 5, 0]


def test_steps_span_captured_batches(leaving: Captured) -> None:
    replay = steps.Replay(leaving.trace, leaving.live, leaving.batches, 12, "prefill")
    together = torch.cat([b.args[0] for b in leaving.batches])
    for i in range(len(replay)):
        step = replay.step(i)
        assert torch.equal(step.batch.args[0], together[12 * i : 12 * i + 12])
        run = Execution(observed={})
        leaving.live.run(step.batch, run)
        assert steps.differing(step, run.observed or {}) == {"exit0": (0, 12)}


def test_the_captured_batch_is_run_as_it_came(leaving: Captured) -> None:
    replay = steps.Replay(leaving.trace, leaving.live, leaving.batches, None, "prefill")
    assert all(replay.step(i).batch is b for i, b in enumerate(leaving.batches))


def test_same_flops_keeps_the_rows_that_are_predicted(leaving: Captured) -> None:
    replay = steps.Replay(leaving.trace, leaving.live, leaving.batches, 12, "prefill")
    kept = rebatch(leaving.trace, 12).rows.kept["exit0"]
    for i in range(len(replay)):
        assert list(replay.step(i).kept["exit0"]) == list(kept[i])
    side = protocol.Side(replay, {"early_exit": "same-flops"}, protocol.Plan())
    assert side.execution(replay.step(1)).rows_kept["exit0"][1] == kept[1][1]


def test_steps_of_unlike_length_do_not_mix(talking: Captured) -> None:
    cut = rebatch(talking.trace, 6, "decode")
    sources = steps.sources(talking.trace)
    assert [list(sources[steps.units_of(talking.trace, cut, i)]) for i in range(4)] == [
        [0, 1, 2, 3, 4, 5],
        [6, 7, 8, 9, 10, 11],
    ] * 2


@pytest.mark.parametrize("batch", [4, 6])
def test_decoding_starts_from_the_same_cache_each_time(talking: Captured, batch: int) -> None:
    replay = steps.Replay(talking.trace, talking.live, talking.batches, batch, "decode")
    last = len(replay) - 1
    lengths = [replay.step(last).more()["cache"].seen.shape[1] for _ in range(2)]
    table = measured(talking, phase="decode", batch=batch, pairs=3, steps=2)
    assert lengths == [
        8,
        8,
    ]  # seven tokens and the first that was generated; the step is the second
    assert set(table["phase"]) == {"decode"}


def test_all_phases_unless_one_is_named(talking: Captured) -> None:
    assert set(measured(talking, pairs=1, steps=1)["phase"]) == {"prefill", "decode"}


def test_decisions_of_the_trace_can_be_forced(leaving: Captured) -> None:
    for strategy in ("compacted", "wait", "masked"):
        table = measured(
            leaving, strategies=strategy, decisions="trace", pairs=2, steps=1, batch=12
        )
        assert set(table["strategy"]) == {strategy}
    replay = steps.Replay(leaving.trace, leaving.live, leaving.batches, 12, "prefill")
    step = replay.step(1)
    side = protocol.Side(replay, {"early_exit": "compacted"}, protocol.Plan(decisions="trace"))
    execution = side.execution(step)
    execution.observed = {}
    with leaving.live.prepared(execution):
        leaving.live.model(-step.batch.args[0])
    assert steps.differing(step, execution.observed) == {"exit0": (0, 12)}


@pytest.mark.parametrize("decisions", ["natural", "trace"])
def test_other_inputs_are_refused(leaving: Captured, decisions: str) -> None:
    other = [type(b)((-b.args[0],), {}, b.units, b.seq) for b in leaving.batches]
    with pytest.raises(CondsimError, match=r"site 'exit0': .* differ from the trace"):
        measure_live(leaving.trace, leaving.live, other, pairs=1, decisions=decisions)
    with pytest.raises(CondsimError, match="the inputs have 16 units where trace 'leaving' has 48"):
        measure_live(leaving.trace, leaving.live, leaving.batches[:2], pairs=1)


def test_a_step_at_the_edge_is_replaced(leaving: Captured) -> None:
    inputs = [b.args[0].clone() for b in leaving.batches]
    inputs[0][0] *= -1
    batches = [
        type(b)((x,), {}, b.units, b.seq) for b, x in zip(leaving.batches, inputs, strict=True)
    ]
    table = measure_live(leaving.trace, leaving.live, batches, pairs=3, steps=3).measurements
    assert set(table["step"]) == {1, 2, 5}


def test_nan_is_refused(leaving: Captured) -> None:
    dense = nn.Linear(8, 4)
    nn.init.constant_(dense.weight, float("nan"))
    with pytest.raises(CondsimError, match="NaN"):
        measured(leaving, module=dense, baselines=(), pairs=1)


def test_a_module_is_a_third_kind(leaving: Captured) -> None:
    dense = nn.Linear(8, 4).train()
    table = measured(leaving, module=dense, pairs=2, steps=1)
    assert list(table["baseline"].unique()) == ["same-params", "same-flops", "module"]
    assert dense.training
    with pytest.raises(CondsimError, match="needs the dense module"):
        measured(leaving, baselines=("module",))


@pytest.mark.parametrize("fails", [False, True])
def test_nothing_stays_behind(
    leaving: Captured, fails: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = leaving.live.model
    torch.set_num_threads(2)
    before = {n: set(vars(m)) for n, m in model.named_modules()}
    if fails:
        monkeypatch.setattr(protocol, "_has_nan", lambda _: True)
        with pytest.raises(CondsimError, match="NaN"):
            measured(leaving, pairs=1)
    else:
        measured(leaving, pairs=1)
    assert {n: set(vars(m)) for n, m in model.named_modules()} == before
    assert torch.get_num_threads() == 2
    assert gc.isenabled()
    assert not torch.is_inference_mode_enabled()
    assert model(torch.zeros(3, 8)).requires_grad


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pairs": 0}, "pairs must be at least 1, got 0"),
        ({"threads": 0}, "threads must be at least 1, got 0"),
        ({"protocol": "strem"}, "unknown protocol 'strem'; did you mean 'stream'"),
        ({"baselines": ("same-flop",)}, "unknown baseline 'same-flop'"),
        ({"strategies": "waits"}, "unknown strategy 'waits'; did you mean 'wait'"),
        ({"batch": 49}, "batch 49 is more than the 48 units"),
    ],
)
def test_bad_arguments(leaving: Captured, options: dict[str, Any], message: str) -> None:
    with pytest.raises(CondsimError, match=message):
        measured(leaving, **options)


def test_a_model_of_other_sites_is_refused(leaving: Captured, talking: Captured) -> None:
    with pytest.raises(CondsimError, match="is only in the"):
        measure_live(leaving.trace, talking.live, talking.batches, pairs=1)


def test_gathered_units_come_in_order(leaving: Captured) -> None:
    units = np.array([7, 8, 9, 30, 3])
    together = torch.cat([b.args[0] for b in leaving.batches])
    batch = steps.gather(leaving.batches, units)
    assert batch.units == 5
    assert torch.equal(batch.args[0], together[units])
