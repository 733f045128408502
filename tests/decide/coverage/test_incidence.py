"""Estimates on sequences whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.sticky import Sticky
from condsim.decide.coverage.incidence import Incidence


def drawn(router: Sticky, sequences: int, seed: int) -> tuple[Incidence, float]:
    sets = router.draw(sequences, np.random.default_rng(seed))
    unit = np.repeat(np.arange(sequences), router.tokens)
    unseen = np.bincount(sets.ravel(), minlength=router.sets) == 0
    incidence = Incidence.of(unit, sets.ravel(), sequences, router.sets)
    return incidence, float(router.popularity[unseen].sum())


@pytest.mark.parametrize("repeat", [0.0, 0.9])
def test_unseen_mass_is_right_however_alike_tokens_are(repeat: float) -> None:
    pairs = [drawn(Sticky(repeat=repeat), 60, seed) for seed in range(20)]
    estimated = np.mean([incidence.unseen_mass for incidence, _ in pairs])
    true = np.mean([truth for _, truth in pairs])
    assert estimated == pytest.approx(true, rel=0.08)


def test_at_least_is_less_than_all_and_more_than_seen() -> None:
    incidence, _ = drawn(Sticky(), 60, 0)
    estimate, low, high = incidence.at_least(2016)
    assert incidence.seen < low < estimate < high <= 2016


def test_by_hand() -> None:
    """Three units: {a, b}, {a, c}, {a, a, b}: a in all, b in two, c in one; 7 rows, 1 alone."""
    unit = np.array([0, 0, 1, 1, 2, 2, 2])
    thing = np.array([0, 1, 0, 2, 0, 0, 1])
    incidence = Incidence.of(unit, thing, 3, 3)
    assert (incidence.seen, incidence.once, incidence.twice) == (3, 1, 1)
    assert incidence.unseen_mass == pytest.approx(1 / 7 * (2 * 1) / (2 * 1 + 2 * 1))
    assert incidence.hidden == 0


def test_neighbours_that_are_alike_make_it_doubtful() -> None:
    """Each thing is had by two units that follow each other: joined, each is alone."""
    unit = np.arange(40)
    alike = Incidence.of(unit, unit // 2, 40, 20)
    apart = Incidence.of(unit, unit % 20, 40, 20)
    assert alike.doubtful
    assert not apart.doubtful


def test_what_everybody_does_leaves_nothing_unseen() -> None:
    unit = np.repeat(np.arange(5), 2)
    incidence = Incidence.of(unit, np.tile([0, 1], 5), 5, 2)
    assert incidence.unseen_mass == 0
    assert incidence.at_least(2) == (2, 2, 2)
    assert incidence.new_if_doubled == 0
