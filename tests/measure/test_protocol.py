"""Pairs in a process: how many, in which order, of what; and nothing left behind."""

from __future__ import annotations

import gc
import json
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest
import torch
from torch import nn

from condsim.errors import CondsimError
from condsim.measure import protocol, sides
from condsim.measure.gate import Gate
from condsim.measure.plan import Plan
from condsim.measure.protocol import Measured, measure_cases
from condsim.measure.replay import Captured
from condsim.trace import MEASUREMENTS


@pytest.fixture(autouse=True)
def no_yardsticks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol.yardsticks, "read", lambda: {"read_64mb": 1.0})
    monkeypatch.setattr(Gate, "is_open", lambda _self, _reading: True)


def measured(captured: Captured, module: nn.Module | None = None, /, **fields: Any) -> pd.DataFrame:
    """The measurements of a plan of these fields."""
    cases = measure_cases(captured.trace, captured.live, captured.inputs, Plan(**fields), module)
    return cases.table(process=0, yardstick_ratio=1.0)


def test_every_repetition_is_kept(leaving: Captured) -> None:
    table = measured(leaving, pairs=10, steps=3)
    assert tuple(table.columns) == MEASUREMENTS
    assert set(table["baseline"]) == {"same-params", "same-flops"}
    for _, case in table.groupby("baseline"):
        assert list(case["pair"]) == list(range(12))  # the next multiple of the three steps
        assert case["step"].value_counts().to_dict() == {0: 4, 2: 4, 5: 4}
    assert bool((table[["conditional_s", "baseline_s"]] > 0).all(axis=None))
    assert not bool(table.isna().any(axis=None))


def test_the_yardsticks_are_read_before_and_after(leaving: Captured) -> None:
    cases = measure_cases(leaving.trace, leaving.live, leaving.inputs, Plan(pairs=1, steps=1))
    assert cases.readings == [{"read_64mb": 1.0}] * 2


def test_several_threads_are_timed_by_the_wall_clock(
    leaving: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = set()

    def clock_for(_pauses: list[int]) -> object:
        seen.add(torch.get_num_threads())
        return protocol.CPU

    monkeypatch.setattr(protocol, "clock_for", clock_for)
    table = measured(leaving, pairs=1, steps=1, threads=2)
    assert seen == {2}
    assert set(table["clock"]) == {"wall"}
    assert set(table["threads"]) == {2}
    assert {json.loads(f)["threads"] for f in table["fingerprint"]} == {2}


def test_a_stream_begins_without_the_kernels_of_cases_before(
    leaving: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    forgotten: list[int] = []
    monkeypatch.setattr(protocol, "forget_kernels", lambda: forgotten.append(1))
    measured(leaving, pairs=1, steps=1)
    assert not forgotten
    measured(leaving, pairs=1, protocol="stream")
    assert len(forgotten) == 2  # of each baseline


def test_one_captured_step_is_looped(leaving: Captured) -> None:
    one = replace(leaving.trace, steps=leaving.trace.steps[:1])
    assert Plan().protocol_of(one, "prefill").name == "loop"
    assert Plan(protocol="repeat").protocol_of(one, "prefill").name == "repeat"
    assert Plan().protocol_of(leaving.trace, "prefill").name == "repeat"


def test_decoding_is_measured(talking: Captured) -> None:
    for batch in (4, 6):
        table = measured(talking, phase="decode", batch_sizes=[batch], pairs=3, steps=2)
        assert set(table["phase"]) == {"decode"}
        assert set(table["batch"]) == {batch}
    assert set(measured(talking, pairs=1, steps=1)["phase"]) == {"prefill", "decode"}


@pytest.mark.parametrize("strategy", ["compacted", "wait", "masked"])
def test_forced_decisions_are_measured(leaving: Captured, strategy: str) -> None:
    table = measured(
        leaving, strategies=[strategy], decisions="trace", pairs=2, steps=1, batch_sizes=[12]
    )
    assert set(table["strategy"]) == {strategy}


@pytest.mark.parametrize("decisions", ["natural", "trace"])
def test_other_inputs_are_refused(leaving: Captured, decisions: str) -> None:
    other = [type(b)((-b.args[0],), {}, b.units, b.seq) for b in leaving.inputs]
    plan = Plan(pairs=1, decisions=decisions)
    with pytest.raises(CondsimError, match=r"site 'exit0': .* differ from the trace"):
        measure_cases(leaving.trace, leaving.live, other, plan)


def test_a_streams_decisions_are_checked_after_its_timing(leaving: Captured) -> None:
    other = [type(b)((-b.args[0],), {}, b.units, b.seq) for b in leaving.inputs]
    plan = Plan(pairs=1, protocol="stream")
    with pytest.raises(CondsimError, match=r"site 'exit0': .* differ from the trace"):
        measure_cases(leaving.trace, leaving.live, other, plan)


def test_a_module_is_a_third_kind(leaving: Captured) -> None:
    dense = nn.Linear(8, 4).train()
    table = measured(leaving, dense, pairs=2, steps=1)
    assert list(table["baseline"].unique()) == ["same-params", "same-flops", "module"]
    assert dense.training


@pytest.mark.parametrize("fails", [False, True])
def test_nothing_stays_behind(
    leaving: Captured, fails: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = leaving.live.model
    torch.set_num_threads(2)
    before = {name: set(vars(module)) for name, module in model.named_modules()}
    if fails:
        monkeypatch.setattr(sides, "has_nan", lambda _: True)
        with pytest.raises(CondsimError, match="NaN"):
            measured(leaving, pairs=1)
    else:
        measured(leaving, pairs=1)
    assert {name: set(vars(module)) for name, module in model.named_modules()} == before
    assert torch.get_num_threads() == 2
    assert gc.isenabled()
    assert not torch.is_inference_mode_enabled()
    assert model(torch.zeros(3, 8)).requires_grad


def test_measured_rows_become_a_table_of_one_process() -> None:
    row = dict.fromkeys(MEASUREMENTS, 0)
    table = Measured(rows=[row, row]).table(process=3, yardstick_ratio=1.5)
    assert tuple(table.columns) == MEASUREMENTS
    assert set(table["process"]) == {3}
    assert set(table["yardstick_ratio"]) == {1.5}
