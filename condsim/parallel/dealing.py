"""Rows dealt to ranks: which rank computes what, and which tokens travel, from the decisions.

Units of a batch are dealt to the ranks in order, as data-parallel attention has them. A row goes
to the ranks that hold its experts. Where an expert has several copies, its rows take them in turn.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np

from condsim.parallel.placement import Placement


def rank_of_units(batch: int, ranks: int) -> np.ndarray:
    """Return the rank of each unit of a batch, int [batch]: runs of equal length, give or take
    one."""
    return np.arange(batch) * ranks // batch


MOST_FLAGS = 1 << 26
"""Pairs of a row and a place that are flagged one by one; more of them are sorted."""


@dataclass(frozen=True)
class Rows:
    """Rows of a site in the order in which they run.

    ids: experts that each takes, int [rows, k], -1 for none. step, sender: of each, int [rows].
    steps: how many there are.
    """

    ids: np.ndarray
    step: np.ndarray
    sender: np.ndarray
    steps: int


@dataclass(frozen=True)
class Dealt:
    """The rows of one site, by rank.

    of_slot: rows that each slot computes, int [steps, slots]. received: tokens that each rank holds
    after dispatch, int [steps, ranks].
    """

    of_slot: np.ndarray
    received: np.ndarray
    placement: Placement

    @property
    def of_rank(self) -> np.ndarray:
        """Rows that each rank computes, one an expert that is chosen, int [steps, ranks]."""
        steps, ranks = self.received.shape
        rows: np.ndarray = self.of_slot.reshape(steps, ranks, -1).sum(2)
        return rows

    def rows(self, rank: int) -> np.ndarray:
        """Return the rows that a rank computes for each expert, int [steps, experts]."""
        held = np.flatnonzero(self.placement.rank_of == rank)
        rows = np.zeros((len(self.of_slot), self.placement.experts), np.int64)
        for slot in held:
            rows[:, self.placement.expert_of[slot]] += self.of_slot[:, slot]
        return rows


@dataclass(frozen=True)
class Travelled:
    """Rows of one site that travel.

    routes: rows from a rank to another, one an expert that is chosen, int [steps, ranks, ranks].
    copies: the same, one a distinct rank, int [steps, ranks, ranks].
    node_copies: the same, one a distinct node, int [steps, ranks, nodes].
    """

    routes: np.ndarray
    copies: np.ndarray
    node_copies: np.ndarray


def deal(rows: Rows, placement: Placement) -> Dealt:
    """Return which slot computes which rows."""
    row, slot = _pairs(rows, placement)
    of_slot = _counted(rows.steps, (len(placement.expert_of),), rows.step[row], slot)
    reached, rank = _distinct(len(rows.ids), row, placement.rank_of[slot], placement.ranks)
    received = _counted(rows.steps, (placement.ranks,), rows.step[reached], rank)
    return Dealt(of_slot, received, placement)


def travelled(rows: Rows, placement: Placement, nodes: int = 1) -> Travelled:
    """Return where rows go. nodes: that the ranks are spread over, in order."""
    ranks = placement.ranks
    row, slot = _pairs(rows, placement)
    rank = placement.rank_of[slot]
    routes = _between(rows, row, rank, ranks)
    copies = _between(rows, *_distinct(len(rows.ids), row, rank, ranks), ranks)
    node = rank // (ranks // nodes)
    node_copies = _between(rows, *_distinct(len(rows.ids), row, node, nodes), nodes, ranks)
    return Travelled(routes, copies, node_copies)


def _between(
    rows: Rows, row: np.ndarray, place: np.ndarray, places: int, ranks: int | None = None
) -> np.ndarray:
    """Pairs from each rank to each place, int [steps, ranks, places]. ranks: None for as many."""
    shape = (places if ranks is None else ranks, places)
    return _counted(rows.steps, shape, rows.step[row], rows.sender[row], place)


def _pairs(rows: Rows, placement: Placement) -> tuple[np.ndarray, np.ndarray]:
    """The slot that computes each row for each of its experts: (row, slot), int [pairs] each."""
    chosen = rows.ids >= 0
    row = np.repeat(np.arange(len(rows.ids)), chosen.sum(1))
    expert = rows.ids[chosen].astype(np.int64)
    slots = placement.slots_of_expert
    if slots.shape[1] == 1:
        return row, slots[expert, 0]
    key = rows.step[row] * placement.experts + expert
    copy = _turns(key) % placement.copies[expert]
    return row, slots[expert, copy]


def _turns(key: np.ndarray) -> np.ndarray:
    """How many of the same key stand before each, int [pairs]: the copies of an expert take its
    rows of a step in turn."""
    order = np.argsort(key, kind="stable")
    in_order = key[order]
    starts = np.concatenate([[True], in_order[1:] != in_order[:-1]])[: len(in_order)]
    first = np.maximum.accumulate(np.where(starts, np.arange(len(order)), 0))
    turn = np.empty(len(order), np.int64)
    turn[order] = np.arange(len(order)) - first
    return turn


def _counted(steps: int, shape: tuple[int, ...], *where: np.ndarray) -> np.ndarray:
    """How often each (step, ...) stands in `where`, int [steps, *shape]."""
    flat = np.ravel_multi_index(where, (steps, *shape))
    return np.bincount(flat, minlength=steps * prod(shape)).reshape(steps, *shape)


def _distinct(
    rows: int, row: np.ndarray, place: np.ndarray, places: int
) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of a row and a place, each once: (row, place), int [pairs] each. rows, places: how many
    there are."""
    pair = row * places + place
    if rows * places > MOST_FLAGS:
        once = np.unique(pair)
    else:
        met = np.zeros(rows * places, bool)
        met[pair] = True
        once = np.flatnonzero(met)
    return once // places, once % places
