"""Compositions that are priced, and the nearest to any other."""

from __future__ import annotations

import numpy as np

import condsim
from condsim.resources import resource
from condsim.serve.prices.composition import Sites
from condsim.serve.prices.nearest import PricedSize, most_frequent

SITES = Sites(condsim.load(resource("traces") / "skip-fashion"))


def composition(first: int, others: int, rows: int = 8) -> np.ndarray:
    """Rows that skip and enter each layer."""
    entered = [first] + [others] * (len(SITES.rules) - 1)
    return np.array([[rows - count, count] for count in entered]).ravel()


KNOWN = np.stack([composition(0, 0), composition(4, 4), composition(8, 8)])
PRICED = PricedSize(SITES, KNOWN, np.array([1.0, 2.0, 3.0]), np.array([10.0, 20.0, 30.0]))


def test_what_was_priced_costs_what_it_costs() -> None:
    for row, seconds in zip(KNOWN, (1.0, 2.0, 3.0), strict=True):
        assert PRICED.price(row) == (seconds, seconds * 10)


def test_what_was_not_costs_what_the_nearest_does() -> None:
    assert PRICED.price(composition(5, 4)) == (2.0, 20.0)
    assert PRICED.price(composition(7, 8)) == (3.0, 30.0)
    assert PRICED.nearest(composition(2, 2, rows=4), larger=2.0) == 1


def test_errors_leave_each_out_in_turn() -> None:
    errors = PRICED.errors()
    assert errors[0] == 2.0, "as many rows in the fullest branches as where all rows enter"
    assert errors[1] == 0.5
    alone = PricedSize(SITES, KNOWN[:1], np.array([1.0]), np.array([1.0]))
    assert alone.errors().tolist() == [0.0]


def test_the_most_frequent_are_chosen() -> None:
    drawn = np.array([[1, 0], [0, 1], [0, 1], [2, 2], [2, 2], [2, 2]])
    assert drawn[most_frequent(drawn, 2)].tolist() == [[0, 1], [2, 2]]
    assert most_frequent(drawn[:1], 5).tolist() == [0]


def test_features_follow_work_and_what_is_touched() -> None:
    none, all_ = SITES.features(np.stack([composition(0, 0), composition(8, 8)]))
    assert all_[0] > none[0]
    layers = len(SITES.rules)
    assert none[1] == all_[1] == layers
    assert none[2] == all_[2] == 8 * layers
