"""Rows that are gathered by a decision, put back, multiplied by a mask, added up."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from live.lift.read import Forward, enters, meaning

from condsim.live.lift.meanings import (
    Gathered,
    MaskedSum,
    Mixture,
    Plain,
    RowNumbers,
    Select,
    Sum,
    Unknown,
)


@pytest.mark.parametrize(
    ("forward", "expected"),
    [
        (lambda s, x: x[enters(s)], Gathered),
        (lambda s, x: x.index_select(0, enters(s).nonzero().squeeze(-1)), Gathered),
        (lambda s, x: torch.arange(len(x))[enters(s)], RowNumbers),
        (lambda s, x: enters(s)[:, None] * x, MaskedSum),
        (lambda s, x: x + enters(s)[:, None] * x, Select),
        (lambda s, x: torch.where(enters(s)[:, None], 2 * x, x), Select),
        (lambda s, x: 2 * x, Plain),
        (lambda s, x: x[:, 0], Plain),
    ],
)
def test_a_call_has_a_meaning(forward: Forward, expected: type) -> None:
    assert type(meaning(forward)) is expected


def written(keep: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    out = x.clone()
    out[keep] = 2 * x[keep]
    return out


def copied(keep: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    return x.index_copy(0, keep.nonzero().squeeze(-1), 2 * x[keep])


@pytest.mark.parametrize("put_back", [written, copied])
def test_rows_put_back_are_a_selection(
    put_back: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
) -> None:
    select = meaning(lambda s, x: put_back(enters(s), x))
    assert isinstance(select, Select)
    assert list(select.options) == [1]
    assert isinstance(select.base, Plain)


def test_rows_added_are_a_sum_for_those_that_enter() -> None:
    def added(scores: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        rows = enters(scores).nonzero().squeeze(-1)
        return x.index_add(0, rows, 2 * x[rows])

    select = meaning(added)
    assert isinstance(select, Select)
    assert isinstance(select.options[1], Sum)


def test_weighted_results_are_a_mixture() -> None:
    def mixed(scores: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        logits = torch.cat([scores, scores], dim=-1)
        weights, ids = logits.topk(2, dim=-1)
        out = torch.zeros_like(x)
        for expert in range(4):
            rows, slots = torch.where(ids == expert)
            out.index_add_(0, rows, expert * x[rows] * weights[rows, slots, None])
        return out

    mixture = meaning(mixed)
    assert isinstance(mixture, Mixture)
    assert sorted(mixture.options) == [0, 1, 2, 3]


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
