"""Which results may be decisions."""

from __future__ import annotations

import torch

from condsim.live.lift.forks import (
    are_branches,
    chooses_one,
    chooses_several,
    is_hard,
    may_be_ids,
    one_a_row,
)

IDS = torch.tensor([0, 2, 1])


def test_branches_are_whole_numbers_below_the_ways() -> None:
    assert are_branches(IDS, ways=3)
    assert not are_branches(IDS, ways=2)
    assert not are_branches(IDS.float(), ways=3)
    assert not are_branches(IDS[:1], ways=3)


def test_one_a_row_is_any_shape_of_as_many_values_as_rows() -> None:
    assert one_a_row(torch.zeros(4))
    assert one_a_row(torch.zeros(4, 1, 1))
    assert not one_a_row(torch.zeros(4, 2))
    assert not one_a_row(torch.tensor(1.0))
    assert not one_a_row(torch.zeros(1, 1))


def test_a_hard_gate_is_0_or_1() -> None:
    assert is_hard(torch.tensor([0.0, 1.0]))
    assert not is_hard(torch.tensor([0.0, 0.5]))


def test_ids_of_several_choices_have_two_dimensions() -> None:
    assert may_be_ids(IDS[:, None])
    assert not may_be_ids(IDS)
    assert not may_be_ids("ids")


def test_choices_are_told_by_what_they_choose_from() -> None:
    scores = torch.zeros(5, 4)
    assert chooses_several(scores, torch.zeros(5, 2, dtype=torch.int64))
    assert not chooses_several(scores, torch.zeros(5, 4, dtype=torch.int64))
    assert chooses_one(scores, torch.zeros(5, dtype=torch.int64))
    assert chooses_one(scores, torch.zeros(5, 1, dtype=torch.int64))
    assert not chooses_one(scores, torch.zeros(4, dtype=torch.int64))
