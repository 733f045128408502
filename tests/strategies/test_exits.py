"""Laws of exits at which tokens owe: each sequence goes on or pays, never both by itself."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from condsim.mechanisms import MECHANISMS, Guards
from condsim.strategies import STRATEGIES, rows_that_run, strategies_for

LEAVES, GOES_ON = 0, 1
owing = st.lists(st.integers(0, 6), min_size=1, max_size=12)
"""Tokens that each sequence runs behind an exit: 0 where it leaves."""


def guards(runs: list[int]) -> Guards:
    """One call of an exit that all sequences reach."""
    tokens = np.array(runs)
    go_on = int((tokens > 0).sum())
    return Guards(
        mechanism=MECHANISMS["token_exit"],
        choices=np.array([LEAVES, GOES_ON]),
        counts=np.array([[len(runs) - go_on, go_on]]),
        arriving=np.array([len(runs)]),
        kept=np.array([[0, 1]]),
        lengths=np.repeat(tokens[None, None], 2, axis=1),
    )


def rows(name: str, runs: list[int]) -> list[int]:
    """Rows that pay, and that go on."""
    found: list[int] = rows_that_run(name, guards(runs))[1][0].tolist()
    return found


@given(owing)
def test_each_sequence_pays_or_goes_on(runs: list[int]) -> None:
    left = runs.count(0)
    assert rows("copied", runs) == rows("projected", runs) == [left, len(runs) - left]


@given(owing)
def test_who_waits_goes_on_or_pays_together(runs: list[int]) -> None:
    everybody = len(runs)
    assert rows("wait", runs) == ([0, everybody] if any(runs) else [everybody, 0])
    assert rows("masked", runs) == rows("same-params", runs) == [0, everybody]


@given(owing)
def test_all_remember_and_those_that_go_on_run_what_one_owes_most(runs: list[int]) -> None:
    assert rows("recomputed", runs) == [len(runs), len(runs) - runs.count(0)]
    owed = STRATEGIES["recomputed"].on(MECHANISMS["token_exit"]).owed
    assert owed is not None
    assert owed(guards(runs)).tolist() == [[0, max(runs)]]


def test_what_is_known_of_it() -> None:
    known = {"copied", "projected", "recomputed", "wait", "masked"}
    assert set(strategies_for("token_exit")) == known
    for name in ("copied", "recomputed"):
        assert not STRATEGIES[name].fits_device("npu", static=True)
    masked = STRATEGIES["masked"].on(MECHANISMS["token_exit"])
    assert masked.fits_device("npu", static=True)
