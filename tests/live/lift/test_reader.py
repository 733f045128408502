"""Reading a tape: decisions, ordinary tensors, and what becomes of a decision as a number."""

from __future__ import annotations

import torch
from live.lift.read import enters, read

from condsim.live.lift.meanings import Plain, PlainDecision, Unknown
from condsim.live.lift.nodes import Ref


def test_inputs_are_rows_behind_no_condition() -> None:
    reading = read(lambda s, x: x)
    assert reading.values[Ref(1)] == Plain(Ref(1), (), rows=True)
    assert reading.decisions == {}


def test_a_comparison_of_every_row_is_a_decision() -> None:
    reading = read(lambda s, x: x[enters(s)])
    (decision,) = reading.decisions.values()
    assert decision.branches == 2
    assert decision.boolean
    assert decision.gathers
    assert not decision.masks
    assert decision.context == ()


def test_a_comparison_of_gathered_rows_is_behind_the_first() -> None:
    def twice(scores: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        keep = enters(scores)
        rest = scores[~keep]
        return rest[rest[:, 1] > 0]

    outer, inner = read(twice).decisions.values()
    assert inner.context == ((outer.node, 0),)


def test_a_decision_as_a_number_is_noticed() -> None:
    reading = read(lambda s, x: enters(s).cumsum(0))
    (decision,) = reading.decisions
    (argument,) = reading.values_read(len(reading.tape.nodes) - 1)
    assert isinstance(argument, PlainDecision)
    assert argument.decision == decision


def test_rows_of_different_branches_do_not_meet() -> None:
    def meet(scores: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        keep = scores.argmax(-1)
        return x[keep == 0] + x[keep == 1]

    reading = read(meet)
    result = reading.values[Ref(len(reading.tape.nodes) - 1)]
    assert isinstance(result, Unknown)
    assert result.reason == "rows of different branches meet in add"
