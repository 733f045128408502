"""What is made of a decision: masks, one-hot choices, row numbers, counts."""

from __future__ import annotations

import pytest
import torch
from live.lift.read import Forward, enters, meaning
from torch.nn.functional import one_hot

from condsim.live.lift.meanings import (
    AllTrue,
    BranchIds,
    Count,
    Mask,
    OneHot,
    Plain,
    RowIndex,
    RowNumbers,
)


@pytest.mark.parametrize(
    ("forward", "expected"),
    [
        (lambda s, x: enters(s), Mask),
        (lambda s, x: enters(s).unsqueeze(-1).float(), Mask),
        (lambda s, x: s.argmax(-1), BranchIds),
        (lambda s, x: s.argmax(-1) == 1, Mask),
        (lambda s, x: one_hot(s.argmax(-1), 2).float(), OneHot),
        (lambda s, x: one_hot(s.argmax(-1), 2)[:, 1], Mask),
        (lambda s, x: enters(s).any(), Count),
        (lambda s, x: enters(s).sum(), Count),
        (lambda s, x: enters(s).nonzero(), RowIndex),
        (lambda s, x: enters(s).nonzero().squeeze(-1), RowIndex),
        (lambda s, x: torch.arange(len(x)), RowNumbers),
        (lambda s, x: torch.arange(1, len(x) + 1), Plain),
        (lambda s, x: torch.ones(len(x), dtype=torch.bool), AllTrue),
        (lambda s, x: torch.ones(len(x)), Plain),
        (lambda s, x: enters(s).cumsum(0), Plain),
    ],
)
def test_a_call_has_a_meaning(forward: Forward, expected: type) -> None:
    assert type(meaning(forward)) is expected


@pytest.mark.parametrize(
    ("forward", "choice"),
    [
        (lambda s, x: ~enters(s), 0),
        (lambda s, x: 1 - enters(s).float(), 0),
        (lambda s, x: ~~enters(s), 1),
        (lambda s, x: s.argmax(-1) == 0, 0),
        (lambda s, x: s.argmax(-1) != 0, 1),
        (lambda s, x: one_hot(s.argmax(-1), 2)[:, 0], 0),
    ],
)
def test_a_mask_is_of_one_branch(forward: Forward, choice: int) -> None:
    mask = meaning(forward)
    assert isinstance(mask, Mask)
    assert mask.choice == choice
