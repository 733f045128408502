"""Where tokens came from, and what is refused of a decision about them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import condsim
from condsim.errors import CondsimError
from condsim.live.execution import Execution, executing
from condsim.live.token_decisions import Layout, best

UNITS, TOKENS = 5, 7


def test_a_layout_writes_where_its_tokens_came_from() -> None:
    whole = Layout.whole(UNITS, TOKENS)
    slots = np.array([[6, 0, 3], [1, 2, 5]])
    holds = np.array([[True, True, False], [True, True, True]])
    part = whole.taking(np.array([4, 1]), slots, holds)
    again = part.taking(None, np.array([[1, 2], [0, 1]]), None)
    numbers = np.arange(UNITS * TOKENS)
    assert again.of_slots(numbers).tolist() == [[28, 31], [8, 9]]
    written = np.full(UNITS * TOKENS, -1)
    again.write(np.array([[1, 0], [1, 1]]), written)
    assert np.flatnonzero(written >= 0).tolist() == [8, 9, 28]  # a slot that holds no token: none
    assert written[28] == 1


def test_the_best_are_as_many_as_asked_for() -> None:
    torch.manual_seed(0)
    ranks = torch.randn(UNITS, TOKENS)
    for kept in range(1, TOKENS + 3):
        stays = best(ranks, kept)
        assert stays.sum(1).tolist() == [min(kept, TOKENS)] * UNITS
        assert (ranks.masked_fill(~stays, 9).amin(1) >= ranks.masked_fill(stays, -9).amax(1)).all()


@pytest.mark.parametrize(
    ("decided", "said"),
    [
        (torch.ones(UNITS), "bool [units, tokens]"),
        (torch.ones(UNITS, TOKENS), "pass kept="),
        ([True], "got [True]"),
    ],
)
def test_a_decision_that_is_none_is_refused(decided: object, said: str) -> None:
    with executing(Execution()), pytest.raises(CondsimError, match="site 'keep'") as refused:
        condsim.route("keep", "token_pruning", lambda: decided)
    assert said in str(refused.value)


def test_marks_are_not_mixed_up() -> None:
    with executing(Execution()):
        with pytest.raises(CondsimError, match=r"tokens\('keep'\) comes before route"):
            next(iter(condsim.tokens("keep")))
        condsim.route("keep", "token_pruning", torch.ones(UNITS, TOKENS, dtype=torch.bool))
        with pytest.raises(CondsimError, match=r"condsim.tokens\('keep'\)"):
            condsim.branch("keep", 1).__enter__()
        condsim.route("jump", "skip", torch.ones(UNITS, dtype=torch.int64))
        with pytest.raises(CondsimError, match="decides about no tokens"):
            next(iter(condsim.tokens("jump")))
        with (
            condsim.branch("jump", 1),
            pytest.raises(CondsimError, match="behind site 'jump'"),
        ):
            condsim.route("inner", "token_pruning", torch.ones(UNITS, TOKENS) > 0)


def test_a_fixed_strategy_must_know_how_many() -> None:
    with executing(Execution({"token_pruning": "gathered"})):
        condsim.route("keep", "token_pruning", torch.ones(UNITS, TOKENS, dtype=torch.bool))
        with pytest.raises(CondsimError, match="does not say how many"):
            next(iter(condsim.tokens("keep")))
