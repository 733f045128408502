"""Percentiles of numbers that come in pieces are those of all numbers together."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from condsim.serve.columns import BLOCK
from condsim.serve.summary import ranked, summary_of

SHARES = (0, 1, 50, 90, 99, 100)
COUNT = 3 * BLOCK + 17
DRAWS: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
    "uniform": lambda rng: rng.random(COUNT),
    "heavy tail": lambda rng: rng.pareto(0.4, COUNT),
    "few values": lambda rng: rng.integers(0, 3, COUNT).astype(float),
    "one value": lambda _rng: np.full(COUNT, 2.5),
    "one far away": lambda rng: np.concatenate([rng.random(COUNT - 1), [1e300]]),
    "below zero": lambda rng: rng.normal(0, 1, COUNT),
}


def in_pieces(numbers: np.ndarray) -> Callable[[], Iterator[np.ndarray]]:
    return lambda: iter(np.array_split(numbers, 7))


@pytest.mark.parametrize("draw", sorted(DRAWS))
def test_many_numbers(draw: str) -> None:
    numbers = DRAWS[draw](np.random.default_rng(1))
    found = summary_of(in_pieces(numbers), SHARES)
    assert found.count == COUNT
    assert found.mean == pytest.approx(numbers.mean(), rel=1e-12)
    for share, value in zip(SHARES, np.percentile(numbers, SHARES), strict=True):
        assert found.percentiles[share] == pytest.approx(value, rel=1e-12)


def test_ranks_are_exact() -> None:
    numbers = np.random.default_rng(2).pareto(0.4, COUNT)
    in_order = np.sort(numbers)
    for rank in (0, 1, COUNT // 2, COUNT - 2, COUNT - 1):
        assert ranked(in_pieces(numbers), rank) == in_order[rank]


def test_nan_is_left_out_and_nothing_has_no_mean() -> None:
    found = summary_of(in_pieces(np.array([np.nan, 1.0, 3.0])), SHARES)
    assert (found.count, found.mean, found.percentiles[50]) == (2, 2.0, 2.0)
    nothing = summary_of(in_pieces(np.array([np.nan])), SHARES)
    assert nothing.count == 0
    assert np.isnan(nothing.percentiles[50])
