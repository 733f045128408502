"""A stream in windows, each tested against a reference."""

from __future__ import annotations

import numpy as np
import pytest

from condsim.decide.drift.stream import own_alarms, stream
from condsim.errors import CondsimError


def counts(sequences: int, law: list[float], seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {"site": rng.multinomial(20, law, sequences)}


EVEN, UNEVEN = [0.5, 0.5], [0.95, 0.05]


def test_a_window_that_moved_raises_an_alarm_and_others_do_not() -> None:
    moved = np.concatenate([counts(8, EVEN, 1)["site"], counts(8, UNEVEN, 2)["site"]])
    found = stream(counts(32, EVEN, 0), {"site": moved}, every=20, window=8)
    assert found["alarm"].tolist() == [False, True]
    assert found[["first", "last"]].to_numpy().tolist() == [[0, 7], [8, 15]]


def test_a_window_that_is_not_full_is_left_out() -> None:
    assert len(stream(counts(16, EVEN, 0), counts(9, EVEN, 1), every=20, window=4)) == 2


def test_a_reference_of_one_window_says_nothing_of_itself() -> None:
    assert own_alarms(counts(7, EVEN, 0), every=20, window=4) is None
    assert own_alarms(counts(16, EVEN, 0), every=20, window=4) is not None


@pytest.mark.parametrize(("every", "window"), [(1, 4), (20, 0), (20, 17)])
def test_windows_that_cannot_be_are_refused(every: int, window: int) -> None:
    with pytest.raises(CondsimError):
        stream(counts(16, EVEN, 0), counts(16, EVEN, 1), every, window)
