"""Rows dealt to ranks: which rank computes what, and which tokens travel, from the decisions.

Units of a batch are dealt to the ranks in order, as data-parallel attention has them. A row goes
to the ranks that hold its experts. Where an expert has several copies, its rows take them in turn.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from condsim.parallel.placement import Placement


def rank_of_units(batch: int, ranks: int) -> np.ndarray:
    """Return the rank of each unit of a batch, int [batch]: runs of equal length, give or take
    one."""
    return np.arange(batch) * ranks // batch


@dataclass(frozen=True)
class Dealt:
    """The rows of one site, by rank.

    rows: that each rank computes for each expert, int [steps, ranks, experts].
    routes: rows from a rank to another, one an expert that is chosen, int [steps, ranks, ranks].
    copies: the same, one a distinct rank, int [steps, ranks, ranks].
    node_copies: the same, one a distinct node, int [steps, ranks, nodes].
    """

    rows: np.ndarray
    routes: np.ndarray
    copies: np.ndarray
    node_copies: np.ndarray

    @property
    def received(self) -> np.ndarray:
        """Tokens that each rank holds after dispatch, int [steps, ranks]."""
        held: np.ndarray = self.copies.sum(1)
        return held


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


def deal(rows: Rows, placement: Placement, nodes: int = 1) -> Dealt:
    """Return where rows go. nodes: that the ranks are spread over, in order."""
    ranks, experts = placement.ranks, placement.experts
    row, chosen = np.nonzero(rows.ids >= 0)
    expert = rows.ids[row, chosen].astype(np.int64)
    step = rows.step[row]
    destination = _destination(step * experts + expert, expert, placement)
    computed = _counted(rows.steps, (ranks, experts), step, destination, expert)
    routes = _counted(rows.steps, (ranks, ranks), step, rows.sender[row], destination)
    copies = _distinct(rows, row, destination, (ranks, ranks))
    node = destination // (ranks // nodes)
    return Dealt(computed, routes, copies, _distinct(rows, row, node, (ranks, nodes)))


def _destination(key: np.ndarray, expert: np.ndarray, placement: Placement) -> np.ndarray:
    """The rank of each pair of a row and an expert, int [pairs]. key: alike for pairs of one step
    and expert, which take the expert's copies in turn."""
    order = np.argsort(key, kind="stable")
    in_order = key[order]
    starts = np.concatenate([[True], in_order[1:] != in_order[:-1]])[: len(in_order)]
    first = np.maximum.accumulate(np.where(starts, np.arange(len(order)), 0))
    turn = np.empty(len(order), np.int64)
    turn[order] = np.arange(len(order)) - first
    copy = turn % placement.copies[expert]
    found: np.ndarray = placement.ranks_of_expert[expert, copy]
    return found


def _counted(steps: int, shape: tuple[int, int], *where: np.ndarray) -> np.ndarray:
    """How often each (step, a, b) stands in `where`, int [steps, *shape]."""
    step, a, b = where
    flat = (step * shape[0] + a) * shape[1] + b
    return np.bincount(flat, minlength=steps * shape[0] * shape[1]).reshape(steps, *shape)


def _distinct(rows: Rows, row: np.ndarray, place: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Rows from each rank to each place, one where several pairs of a row go there, int
    [steps, *shape]. row, place: of each pair. shape: (ranks, places)."""
    places = shape[1]
    once = np.unique(row * places + place)
    sent, to = once // places, once % places
    return _counted(rows.steps, shape, rows.step[sent], rows.sender[sent], to)
