"""The cases of a plan: how many, of what, and what their rows say."""

from __future__ import annotations

import gc

import pytest
import torch
from torch import nn

from condsim.errors import CondsimError
from condsim.live.training import Training
from condsim.measure.agreement import learn_sites
from condsim.measure.cases import (
    Cases,
    assignments,
    baselines_of,
    evaluating,
    in_its_mode,
    phases_of,
)
from condsim.measure.plan import Plan
from condsim.measure.replay import Captured
from condsim.trace import MEASUREMENTS, SEGMENTS


def test_there_is_a_case_for_each_phase_batch_strategy_and_baseline(leaving: Captured) -> None:
    learn_sites(leaving)
    cases = Cases(leaving, Plan([8, 12], ["compacted", "wait"]))
    seen = []
    with torch.inference_mode():
        for workload in cases.workloads():
            for case in cases.of(workload):
                columns = case.columns()
                assert set(columns) <= set(MEASUREMENTS) & set(SEGMENTS)
                seen.append((columns["batch"], columns["strategy"], columns["baseline"]))
    assert len(seen) == len(cases) == 8
    assert len(set(seen)) == 8


def test_all_phases_unless_one_is_named(talking: Captured) -> None:
    assert phases_of(talking.trace, Plan()) == ["prefill", "decode"]
    assert phases_of(talking.trace, Plan(phase="decode")) == ["decode"]


def test_strategies_are_assigned_to_mechanisms(leaving: Captured) -> None:
    learn_sites(leaving)
    trace, live = leaving.trace, leaving.live
    assert assignments(trace, live, None) == [{"early_exit": "compacted"}]
    assert assignments(trace, live, ["wait", "masked"]) == [
        {"early_exit": "wait"},
        {"early_exit": "masked"},
    ]
    with pytest.raises(CondsimError, match="unknown strategy 'waits'; did you mean 'wait'"):
        assignments(trace, live, ["waits"])


def test_a_dense_module_is_one_more_baseline() -> None:
    dense = nn.Linear(8, 4)
    assert baselines_of(Plan(), None) == ["same-params", "same-flops"]
    assert baselines_of(Plan(), dense) == ["same-params", "same-flops", "module"]
    assert baselines_of(Plan(baselines=("module",)), dense) == ["module"]
    with pytest.raises(CondsimError, match="needs the dense module"):
        baselines_of(Plan(baselines=("module",)), None)


def test_only_the_dense_baseline_runs_the_module(leaving: Captured) -> None:
    learn_sites(leaving)
    dense = nn.Linear(8, 4)
    cases = Cases(leaving, Plan(), dense)
    workload = next(cases.workloads())
    assert [case.module for case in cases.of(workload)] == [None, None, dense]


def test_a_model_in_training_keeps_its_frozen_parts() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2).eval())
    with in_its_mode(model, Training()):
        assert model.training
    assert model.training
    assert not model[1].training


@pytest.mark.parametrize("training", [False, True])
def test_a_model_is_evaluated_and_left_as_it_was(training: bool) -> None:
    model = nn.Linear(2, 2).train(training)
    gc.disable()
    try:
        with evaluating(model):
            assert not model.training
            gc.enable()
        assert model.training is training
        assert not gc.isenabled()
    finally:
        gc.enable()
