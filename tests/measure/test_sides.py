"""What each side of a pair runs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from condsim.errors import CondsimError
from condsim.measure.agreement import compare_decisions
from condsim.measure.plan import Plan
from condsim.measure.replay import Captured, Replay
from condsim.measure.sides import Side, forcible, has_nan
from condsim.timing.clock import WALL

COMPACTED = {"early_exit": "compacted"}


@pytest.fixture
def replay(leaving: Captured) -> Replay:
    return Replay(leaving, 12, "prefill")


def test_a_step_keeps_its_execution(replay: Replay) -> None:
    side = Side(replay, COMPACTED, Plan())
    first = replay.step(0)
    assert side.execution(first) is side.execution(first)
    assert side.execution(first) is not side.execution(replay.step(1))


def test_same_flops_keeps_the_rows_of_the_step(replay: Replay) -> None:
    side = Side(replay, {"early_exit": "same-flops"}, Plan())
    step = replay.step(1)
    np.testing.assert_array_equal(side.execution(step).rows_kept["exit0"], step.kept["exit0"])


def test_decisions_of_the_trace_can_be_forced(leaving: Captured, replay: Replay) -> None:
    step = replay.step(1)
    execution = Side(replay, COMPACTED, Plan(decisions="trace")).execution(step)
    execution.observed = {}
    with leaving.live.prepared(execution):
        leaving.live.model(-step.batch.args[0])
    assert compare_decisions(leaving.trace, step, execution.observed) == {"exit0": (0, 12)}


@pytest.mark.parametrize("baseline", ["same-params", "same-flops", "module"])
def test_baselines_have_no_decisions_to_force(replay: Replay, baseline: str) -> None:
    side = Side(replay, {"early_exit": baseline}, Plan(decisions="trace"))
    assert side.execution(replay.step(0)).forced is None


def test_nan_is_refused(replay: Replay) -> None:
    dense = nn.Linear(8, 4)
    nn.init.constant_(dense.weight, float("nan"))
    side = Side(replay, {"early_exit": "module"}, Plan(), dense)
    with pytest.raises(CondsimError, match=r"output of step 0 is NaN \(module\)"):
        side.warm_up(replay.step(0))


def test_a_call_takes_time(replay: Replay) -> None:
    dense = nn.Linear(8, 4)
    side = Side(replay, {"early_exit": "module"}, Plan(), dense)
    assert side.run(replay.step(0), WALL) > 0
    assert len(side.warm_up(replay.step(0), calls=3)) == 3


def test_rows_that_never_arrived_are_forced_to_an_expert() -> None:
    assert forcible(np.array([[2, 1], [-1, -1]], np.int16)).tolist() == [[2, 1], [0, 0]]
    assert forcible(np.array([1, -1], np.int8)).tolist() == [1, -1]
    assert forcible(np.array([1, -1], np.int8)).dtype == np.int64
    bits = np.array([[True, False]])
    assert forcible(bits) is bits


def test_nan_is_seen_in_any_output() -> None:
    bad, good, ids = torch.tensor([1.0, float("nan")]), torch.ones(2), torch.ones(2, dtype=int)
    assert has_nan(bad)
    assert has_nan({"logits": good, "hidden": bad})
    assert has_nan((good, bad))
    assert not has_nan([good, ids, None])
