"""What calls give where a decision takes part in them: the rules for masks and rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from condsim.live.lift.meanings import (
    AllTrue,
    BranchIds,
    Count,
    Gathered,
    Mask,
    MaskedSum,
    Meaning,
    OneHot,
    Plain,
    PlainDecision,
    RowIndex,
    RowNumbers,
    Select,
    Unknown,
)
from condsim.live.lift.reader import read_tape
from condsim.live.lift.tape import Ref, Tape

ROWS = 6
Forward = Callable[[torch.Tensor, torch.Tensor], Any]


def meaning(forward: Forward) -> Meaning:
    """What the result of a forward means. It is called with scores [rows, 2] and rows [rows, 3]."""
    tape = Tape(nn.Identity(), lone=True)
    tape.run(forward, (torch.randn(ROWS, 2), torch.randn(ROWS, 3)), {})
    assert isinstance(tape.output, Ref)
    return read_tape(tape, ROWS).values[tape.output]


def enters(scores: torch.Tensor) -> torch.Tensor:
    return scores[:, 0] > 0


@pytest.mark.parametrize(
    ("forward", "expected"),
    [
        (lambda s, x: enters(s), Mask),
        (lambda s, x: enters(s).unsqueeze(-1).float(), Mask),
        (lambda s, x: ~enters(s), Mask),
        (lambda s, x: 1 - enters(s).float(), Mask),
        (lambda s, x: s.argmax(-1), BranchIds),
        (lambda s, x: s.argmax(-1) == 1, Mask),
        (lambda s, x: s.argmax(-1) != 1, Mask),
        (lambda s, x: nn.functional.one_hot(s.argmax(-1), 2).float(), OneHot),
        (lambda s, x: nn.functional.one_hot(s.argmax(-1), 2)[:, 1], Mask),
        (lambda s, x: enters(s).any(), Count),
        (lambda s, x: enters(s).sum(), Count),
        (lambda s, x: enters(s).nonzero(), RowIndex),
        (lambda s, x: enters(s).nonzero().squeeze(-1), RowIndex),
        (lambda s, x: torch.arange(len(x)), RowNumbers),
        (lambda s, x: torch.arange(len(x))[enters(s)], RowNumbers),
        (lambda s, x: torch.ones(len(x), dtype=torch.bool), AllTrue),
        (lambda s, x: x[enters(s)], Gathered),
        (lambda s, x: x.index_select(0, enters(s).nonzero().squeeze(-1)), Gathered),
        (lambda s, x: enters(s)[:, None] * x, MaskedSum),
        (lambda s, x: x + enters(s)[:, None] * x, Select),
        (lambda s, x: torch.where(enters(s)[:, None], 2 * x, x), Select),
        (lambda s, x: x.index_copy(0, enters(s).nonzero().squeeze(-1), x[enters(s)]), Select),
        (lambda s, x: 2 * x, Plain),
        (lambda s, x: enters(s).cumsum(0), Plain),
    ],
)
def test_a_call_has_a_meaning(forward: Forward, expected: type) -> None:
    assert type(meaning(forward)) is expected


def test_a_negation_is_the_other_branch() -> None:
    mask = meaning(lambda s, x: ~enters(s))
    assert isinstance(mask, Mask)
    assert mask.choice == 0


def test_rows_written_back_are_a_selection() -> None:
    def forward(scores: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        keep = enters(scores)
        out = x.clone()
        out[keep] = 2 * x[keep]
        return out

    select = meaning(forward)
    assert isinstance(select, Select)
    assert list(select.options) == [1]
    assert isinstance(select.base, Plain)


@pytest.mark.parametrize(
    ("forward", "reason"),
    [
        (lambda s, x: torch.where(enters(s)[:, None], x, 0.0), "between rows and a constant"),
        (lambda s, x: enters(s)[enters(s)], "gathers from a mask"),
    ],
)
def test_what_cannot_be_read_says_why(forward: Forward, reason: str) -> None:
    unknown = meaning(forward)
    assert isinstance(unknown, Unknown)
    assert reason in unknown.reason


def test_a_decision_as_a_number_is_noticed() -> None:
    tape = Tape(nn.Identity(), lone=True)
    forward: Forward = lambda s, x: enters(s).cumsum(0)  # noqa: E731
    tape.run(forward, (torch.randn(ROWS, 2), torch.randn(ROWS, 3)), {})
    reading = read_tape(tape, ROWS)
    (decision,) = reading.decisions
    (last,) = reading.values_read(len(tape.nodes) - 1)
    assert isinstance(last, PlainDecision)
    assert last.decision == decision
