"""Sequences through the steps of a trace, and what they owe in each."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from condsim.steps.sequences import tokens_behind

decided = st.lists(st.lists(st.booleans(), min_size=1, max_size=9), min_size=1, max_size=5)


def one_by_one(goes_on: list[bool]) -> list[int]:
    """Tokens that a sequence runs behind an exit in each of its steps."""
    owed, runs = 0, []
    for goes in goes_on:
        owed += 1
        runs.append(owed if goes else 0)
        owed = 0 if goes else owed
    return runs


@given(decided)
def test_what_a_sequence_owes_is_run_when_it_goes_on(sequences: list[list[bool]]) -> None:
    """Whatever the order in which the steps of the sequences follow each other."""
    most = max(map(len, sequences))
    steps = [(n, place) for place in range(most) for n in range(len(sequences))]
    steps = [(n, place) for n, place in steps if place < len(sequences[n])]
    goes_on = np.array([sequences[n][place] for n, place in steps])
    behind = tokens_behind(goes_on, np.array([n for n, _ in steps]))
    expected = [one_by_one(sequence) for sequence in sequences]
    assert behind.tolist() == [expected[n][place] for n, place in steps]


@given(st.lists(st.booleans(), min_size=1, max_size=20))
def test_every_token_is_run_once_but_those_still_owed(goes_on: list[bool]) -> None:
    behind = tokens_behind(np.array(goes_on), np.zeros(len(goes_on), int))
    still_owed = len(goes_on) if not any(goes_on) else goes_on[::-1].index(True)
    assert behind.sum() == len(goes_on) - still_owed
