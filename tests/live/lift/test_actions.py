"""What a lifted forward does, action by action."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils._pytree import tree_flatten

from condsim.live.lift.actions import AddUp, Arguments, CallFunction, Gate, TakeRows
from condsim.live.lift.environment import Environment, Variable
from condsim.live.lift.meanings import Decision
from condsim.live.lift.sites import LiftedSite

X, Y, RESULT, ROWS = (Variable((number, None), ()) for number in range(4))


def test_arguments_are_filled_with_variables_and_sizes() -> None:
    leaves, spec = tree_flatten(((None, 7, 8), {"dim": 1}))
    sizes = [(1, Y, (0,)), (2, Y, (0, 1))]
    arguments = Arguments(tuple(leaves), spec, [(0, X)], sizes)
    assert arguments.reads == {X, Y}
    args, kwargs = arguments.build({X: "x", Y: torch.ones(5, 3)})
    assert args == ("x", 5, 15)
    assert kwargs == {"dim": 1}


def test_every_item_of_a_result_is_kept() -> None:
    leaves, spec = tree_flatten(((None,), {"dim": 0}))
    items = [Variable((9, item), ()) for item in range(2)]
    call = CallFunction(
        torch.unbind, Arguments(tuple(leaves), spec, [(0, X)], []), items, single=False
    )
    environment: Environment = {X: torch.arange(3)}
    call(environment)
    assert [int(environment[item]) for item in items] == [0, 1]


class FirstRow:
    """A selector of one row."""

    def take(self, x: torch.Tensor) -> torch.Tensor:
        return x[:1]


def test_rows_are_taken_and_added_up() -> None:
    environment: Environment = {X: torch.ones(2), Y: torch.ones(1), ROWS: FirstRow()}
    inner = Variable(X.what, ((3, 1),))
    TakeRows(X, inner, ROWS)(environment)
    AddUp(inner, Y, RESULT)(environment)
    assert environment[RESULT].tolist() == [2.0]


def gate(works: int | None, boolean: bool, **more: Any) -> Gate:
    """A gate whose decision is there already."""
    site = LiftedSite("gate", "skip", Decision(3, 2, boolean, ()), works)
    return Gate(site, [], X, **{"scores": None, "keeps_scores": False, **more})


@pytest.mark.parametrize(
    ("works", "decided", "expected"),
    [
        (1, [True, False], [1, 0]),
        (0, [True, False], [0, 1]),
        (1, [0, 1], [0, 1]),
        (0, [0, 1], [1, 0]),
        (None, [0, 1], [0, 1]),
    ],
)
def test_branch_one_is_the_one_that_rows_enter(
    works: int | None, decided: list[Any], expected: list[int]
) -> None:
    ids = torch.tensor(decided)
    environment: Environment = {X: ids}
    branches, weights, scores = gate(works, ids.dtype == torch.bool).decide(environment)
    assert branches.tolist() == expected
    assert weights is None
    assert scores is None
    assert environment == {}


@pytest.mark.parametrize("keeps_scores", [True, False])
def test_scores_are_one_a_row(keeps_scores: bool) -> None:
    environment: Environment = {X: torch.tensor([True]), Y: torch.ones(1, 1)}
    decide = gate(1, True, scores=Y, keeps_scores=keeps_scores).decide
    _, _, scores = decide(environment)
    assert scores is not None
    assert scores.shape == (1,)
    assert (Y in environment) == keeps_scores
