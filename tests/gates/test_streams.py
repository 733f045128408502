"""Gate 1: at sizes that were not used for fitting, the program gives the recorded stream.

Operator by operator, in order, with zero tolerance.
"""

from __future__ import annotations

import pytest

from condsim.capture.probe import SEVERAL_SEQUENCES, SEVERAL_UNITS, SINGLE_SEQUENCES
from gates.harness import UNSEEN_SEQUENCES, UNSEEN_UNITS, assignments, forced_pairs
from gates.models import NAMES, case


@pytest.mark.parametrize("name", NAMES)
def test_every_program_gives_the_recorded_stream(name: str) -> None:
    for strategy in assignments(name):
        for pair in forced_pairs(name, strategy):
            pair.assert_same_order()


@pytest.mark.parametrize("name", NAMES)
def test_every_size_fits_a_form(name: str) -> None:
    flagged = {}
    for key, program in case(name).trace.programs.items():
        if program.flagged:
            flagged[key] = program.flagged
    assert flagged == {}


@pytest.mark.parametrize(
    ("single", "probed"), [(True, SINGLE_SEQUENCES), (False, SEVERAL_SEQUENCES)]
)
def test_the_sequences_are_new(single: bool, probed: tuple[tuple[int, int], ...]) -> None:
    units, positions = UNSEEN_SEQUENCES[single]
    assert (units, positions) not in probed
    assert positions not in [probed_positions for _, probed_positions in probed]


def test_the_number_of_units_is_new() -> None:
    assert UNSEEN_UNITS[False] not in SEVERAL_UNITS
