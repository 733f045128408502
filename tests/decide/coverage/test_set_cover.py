"""The smallest test set, against every subset."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from condsim.decide.coverage import set_cover as sets
from condsim.decide.coverage.incidence import Incidence


def incidence_of(has: np.ndarray) -> Incidence:
    """has: bool [units, things]."""
    unit, thing = np.nonzero(has)
    return Incidence.of(unit, thing, *has.shape)


@pytest.mark.parametrize("seed", range(4))
def test_is_the_smallest(seed: int) -> None:
    has = np.random.default_rng(seed).random((9, 14)) < 0.3
    found = sets.smallest_set(incidence_of(has))
    wanted = has.any(axis=0)
    assert (has[list(found.units)].any(axis=0) == wanted).all()
    smaller = itertools.combinations(range(9), len(found.units) - 1)
    assert not any((has[list(units)].any(axis=0) == wanted).all() for units in smaller)
    assert found.gap == 0


def test_without_the_exact_search_the_bound_is_honest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sets, "MOST_PAIRS", 0)
    has = np.eye(6, dtype=bool)
    found = sets.smallest_set(incidence_of(has))
    assert found.units == (0, 1, 2, 3, 4, 5)
    assert found.at_least == 1
    assert found.gap == pytest.approx(5 / 6)
