"""What is in force: strategies, forced decisions, and what comes back afterwards."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from condsim.live.execution import Execution, Frame, SiteInfo, current, executing
from condsim.mechanisms import MECHANISMS

GATE = SiteInfo("gate", "skip", 2)


def test_a_site_is_asked_before_its_mechanism_and_before_all() -> None:
    asked = {"gate": "wait", "skip": "masked", "*": "same-params"}
    assert Execution(asked).strategy("gate", "skip") == "wait"
    assert Execution(asked).strategy("other", "skip") == "masked"
    assert Execution(asked).strategy("exit", "early_exit") == "same-params"


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_without_a_request_a_site_runs_its_natural_strategy(mechanism: str) -> None:
    usual = MECHANISMS[mechanism].marked[0]
    assert Execution().asked_strategy("gate", mechanism) is None
    assert Execution().strategy("gate", mechanism) == usual
    assert Execution(natural={"gate": "masked"}).strategy("gate", mechanism) == "masked"


def test_forced_ids_are_those_of_the_rows_that_are_present() -> None:
    run = Execution(forced={"gate": np.array([1, 0, 1, 1])})
    run.frames.append(Frame("outer", 1, present=np.array([0, 1, 3])))
    np.testing.assert_array_equal(run.forced_ids("gate"), [1, 0, 1])
    assert run.forced_ids("another") is None


def test_a_forced_tensor_looks_like_the_models_own() -> None:
    own = torch.zeros(3, 2, dtype=torch.int32).t()
    forced = Execution().replaced(own, np.arange(6).reshape(2, 3))
    assert forced.dtype == own.dtype
    assert forced.stride() == own.stride()
    assert forced.tolist() == [[0, 1, 2], [3, 4, 5]]


def test_the_models_decision_stands_where_nothing_is_forced() -> None:
    ids = torch.tensor([1, 0])
    settled, weights = Execution().settle(GATE, ids)
    assert settled is ids
    assert weights is None


def test_what_stands_is_observed_as_a_copy() -> None:
    run = Execution(forced={"gate": np.array([0, 1])}, observed={})
    ids, _ = run.settle(GATE, torch.tensor([1, 1]), scores=torch.tensor([0.5, 0.7]).bfloat16())
    ids.zero_()
    assert run.observed is not None
    (call,) = run.observed["gate"]
    assert call["ids"].tolist() == [0, 1]
    assert call["scores"].dtype == torch.float32
    assert "weights" not in call


def test_decide_sees_the_models_ids_and_may_leave_them() -> None:
    seen = []

    def decide(info: SiteInfo, ids: np.ndarray) -> None:
        seen.append((info.name, ids.tolist()))

    settled, _ = Execution(decide=decide).settle(GATE, torch.tensor([1, 0]))
    assert settled.tolist() == [1, 0]
    assert seen == [("gate", [1, 0])]


def test_what_was_in_force_comes_back_after_an_exception() -> None:
    outer, inner = Execution(), Execution()
    inner.frames.append(Frame("gate", 1))
    with executing(outer):
        with pytest.raises(RuntimeError), executing(inner):
            raise RuntimeError
        assert current() is outer
    assert inner.frames == []
