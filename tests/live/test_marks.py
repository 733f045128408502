"""`route` and `branch` in a module of one's own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import condsim
from condsim.errors import CondsimError
from condsim.live.execution import Execution, executing

IDS = torch.tensor([1, 0, 1])


def never() -> torch.Tensor:
    raise AssertionError("the gate ran")


def test_route_gives_back_the_decision() -> None:
    weights = torch.ones(3, 1)
    with executing(Execution()):
        assert condsim.route("gate", "skip", IDS) is IDS
        routed = condsim.route("mix", "moe", IDS.unsqueeze(1), weights)
    assert routed[1] is weights


@pytest.mark.parametrize(
    "decided", [IDS, (IDS, None), (IDS, None, torch.rand(3))], ids=["ids", "weights", "scores"]
)
def test_a_gate_may_stand_in_a_function(decided: Any) -> None:
    with executing(Execution()) as run:
        assert condsim.route("gate", "skip", lambda: decided) is IDS
    assert run.sites["gate"].has_scores == (isinstance(decided, tuple) and len(decided) == 3)


def test_forced_ids_come_back_instead() -> None:
    with executing(Execution(forced={"gate": np.array([0, 0, 1])})):
        assert condsim.route("gate", "skip", IDS).tolist() == [0, 0, 1]


@pytest.mark.parametrize("baseline", ["same-params", "same-flops"])
def test_a_baseline_runs_no_gate(baseline: str) -> None:
    with executing(Execution({"*": baseline})):
        assert condsim.route("gate", "skip", never) is None


def test_a_site_knows_the_guards_that_it_stands_behind() -> None:
    with executing(Execution()) as run:
        condsim.route("outer", "early_exit", IDS)
        with condsim.branch("outer", 1):
            condsim.route("inner", "moe", IDS.unsqueeze(1), branches=4)
    assert run.sites["inner"].parents == (("outer", 1),)
    assert run.sites["inner"].top_k == 1
    assert run.sites["outer"].top_k is None


@pytest.mark.parametrize("strategy", ["compacted", "wait", "masked"])
def test_rows_that_do_not_take_a_branch_keep_what_they_have(strategy: str) -> None:
    x = torch.randn(3, 2)
    with executing(Execution({"skip": strategy})):
        condsim.route("gate", "skip", IDS)
        with condsim.branch("gate", 1) as rows:
            out = rows.put(x, 2 * rows.take(x))
    torch.testing.assert_close(out, torch.where(IDS.bool().unsqueeze(1), 2 * x, x))


@pytest.mark.parametrize("takes", [True, False])
def test_a_site_selects_if_its_body_uses_the_selector(takes: bool) -> None:
    with executing(Execution()) as run:
        condsim.route("gate", "skip", IDS)
        with condsim.branch("gate", 1) as rows:
            if takes:
                rows.take(torch.randn(3, 2))
    assert run.sites["gate"].selects == takes


def test_guards_are_closed_after_an_exception() -> None:
    with executing(Execution()) as run:
        condsim.route("gate", "skip", IDS)
        with pytest.raises(RuntimeError), condsim.branch("gate", 1):
            raise RuntimeError
        assert run.frames == []


def test_a_branch_before_its_decision_is_an_error() -> None:
    message = r"branch\('gate'\) comes before route\('gate'\)"
    with executing(Execution()), pytest.raises(CondsimError, match=message):
        condsim.branch("gate", 1).__enter__()


def test_a_branch_that_does_not_exist_is_an_error() -> None:
    with executing(Execution()):
        condsim.route("gate", "skip", IDS)
        with pytest.raises(CondsimError, match=r"site 'gate' has branches 0 \.\.\. 1, got 2"):
            condsim.branch("gate", 2).__enter__()


def test_an_unknown_mechanism_is_an_error() -> None:
    message = r"site 'gate': mechanism must be one of .*early_exit.*got 'magic'"
    with pytest.raises(CondsimError, match=message):
        condsim.route("gate", "magic", IDS)


def test_rows_behind_a_decision_on_tokens_are_refused() -> None:
    x = torch.randn(3, 5, 4)
    with executing(Execution()):
        condsim.route("keep", "token_pruning", x.sum(-1) > 0)
        for tokens in condsim.tokens("keep"):
            taken = tokens.take(x)
            with pytest.raises(CondsimError, match="'skip' decides for rows behind 'keep'"):
                condsim.route("skip", "skip", torch.ones(len(taken), dtype=torch.int64))
            tokens.put(None, taken[:, 0])
