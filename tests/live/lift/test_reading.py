"""Values as ordinary tensors."""

from __future__ import annotations

import pytest
from live.lift.read import enters, read

from condsim.live.lift.meanings import (
    Count,
    MaskedSum,
    Plain,
    PlainDecision,
    RowNumbers,
    Select,
    SlotIndex,
    Unknown,
    Value,
)
from condsim.live.lift.nodes import Ref

RESULT = Ref(2)


@pytest.mark.parametrize(
    "value", [Count(RESULT), SlotIndex(RESULT, 3, 1), MaskedSum(RESULT, 3, ())]
)
def test_what_cannot_be_an_ordinary_tensor_says_why(value: Value) -> None:
    reading = read(lambda s, x: x[enters(s)])
    assert 3 in reading.decisions
    assert isinstance(reading.plain(value), Unknown)


def test_a_sum_over_all_branches_is_a_selection() -> None:
    reading = read(lambda s, x: x[enters(s)])
    rows = Plain(Ref(1), ())
    value = MaskedSum(RESULT, 3, ((0, rows), (1, rows)))
    selection = reading.plain(value)
    assert isinstance(selection, Select)
    assert selection.base is None
    assert reading.plain(value) is selection


def test_a_mask_is_a_decision_that_is_used_as_a_number() -> None:
    reading = read(lambda s, x: enters(s))
    (decision,) = reading.decisions
    plain = reading.plain(reading.values[Ref(decision)])
    assert isinstance(plain, PlainDecision)
    assert plain.decision == decision


def test_row_numbers_are_an_ordinary_tensor_of_their_rows() -> None:
    reading = read(lambda s, x: x[enters(s)])
    reading.arguments.setdefault(RESULT.node, ((), {}))
    context = ((3, 1),)
    assert reading.plain(RowNumbers(RESULT, context)) == Plain(RESULT, context)
