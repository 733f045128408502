"""Rows dealt to ranks: none is lost, and one copy travels to a distinct rank."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from condsim.parallel import dealing
from condsim.parallel.dealing import Rows, deal, rank_of_units, travelled
from condsim.parallel.placement import Placement


def test_one_copy_to_a_distinct_rank() -> None:
    """Two ranks hold experts 0, 1 and 2, 3. The first token takes both experts of the first rank,
    the second one of each, the third both of the second."""
    ids = np.array([[0, 1], [1, 2], [2, 3]])
    rows = Rows(ids, step=np.zeros(3, int), sender=np.array([0, 0, 1]), steps=1)
    placement = Placement(np.arange(4), ranks=2, experts=4)
    dealt, moved = deal(rows, placement), travelled(rows, placement)
    assert moved.copies[0].tolist() == [[2, 1], [0, 1]]
    assert moved.routes[0].tolist() == [[3, 1], [0, 2]]
    assert dealt.rows(0)[0].tolist() == [1, 2, 0, 0]
    assert dealt.rows(1)[0].tolist() == [0, 0, 2, 1]
    assert dealt.of_rank[0].tolist() == [3, 3]
    assert dealt.received[0].tolist() == [2, 2]


def test_copies_of_an_expert_take_turns() -> None:
    ids = np.zeros((5, 1), int)
    rows = Rows(ids, step=np.zeros(5, int), sender=np.zeros(5, int), steps=1)
    dealt = deal(rows, Placement(np.array([0, 1, 0, 1]), ranks=2, experts=2))
    assert [dealt.rows(rank)[0].tolist() for rank in (0, 1)] == [[3, 0], [2, 0]]


def test_one_copy_to_a_distinct_node() -> None:
    ids = np.array([[0, 1, 2]])
    rows = Rows(ids, step=np.zeros(1, int), sender=np.zeros(1, int), steps=1)
    moved = travelled(rows, Placement(np.arange(4), ranks=4, experts=4), nodes=2)
    assert moved.node_copies[0, 0].tolist() == [1, 1]


def test_units_are_dealt_in_order() -> None:
    assert rank_of_units(6, 3).tolist() == [0, 0, 1, 1, 2, 2]
    assert np.bincount(rank_of_units(12, 8)).max() == 2
    assert rank_of_units(2, 8).tolist() == [0, 4]


@settings(max_examples=50)
@given(st.integers(0, 40), st.integers(1, 3), st.integers(0, 10**6))
def test_no_row_is_lost(count: int, k: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    experts, ranks, steps = 6, 3, 2
    ids = np.argsort(rng.random((count, experts)), axis=1)[:, :k]
    ids[rng.random(ids.shape) < 0.1] = -1
    rows = Rows(ids, rng.integers(0, steps, count), rng.integers(0, ranks, count), steps)
    placement = Placement(np.concatenate([np.arange(6), [0, 0, 1]]), ranks, experts)
    dealt, moved = deal(rows, placement), travelled(rows, placement)
    chosen = ids >= 0
    counts = np.zeros((steps, experts), int)
    np.add.at(counts, (np.repeat(rows.step, k)[chosen.ravel()], ids[chosen]), 1)
    of_ranks = [dealt.rows(rank) for rank in range(ranks)]
    assert (sum(of_ranks) == counts).all()
    assert dealt.of_rank.tolist() == np.stack([rows.sum(1) for rows in of_ranks], 1).tolist()
    assert moved.routes.sum() == chosen.sum()
    assert (moved.copies <= moved.routes).all()
    assert (moved.copies.sum(1) == dealt.received).all()
    assert dealt.received.sum() >= chosen.any(1).sum()


def test_many_pairs_are_told_apart_by_sorting(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    ids = np.argsort(rng.random((50, 8)), axis=1)[:, :3]
    rows = Rows(ids, np.arange(50) % 4, rng.integers(0, 4, 50), steps=4)
    placement = Placement(np.arange(8), ranks=4, experts=8)
    flagged = travelled(rows, placement, nodes=2)
    monkeypatch.setattr(dealing, "MOST_FLAGS", 0)
    by_sorting = travelled(rows, placement, nodes=2)
    assert (flagged.copies == by_sorting.copies).all()
    assert (flagged.node_copies == by_sorting.node_copies).all()
