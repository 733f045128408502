"""Gate 1: at sizes that were not used for fitting, the program's stream is the recorded one, operator by operator, in order."""

from __future__ import annotations

import pytest

from condsim.capture.probe import BATCH_SIZES, SEQUENCE_SIZES
from gates.harness import UNSEEN, assignments, forced_pairs
from gates.models import NAMES, case


@pytest.mark.parametrize("name", NAMES)
def test_every_program_gives_the_recorded_stream(name: str) -> None:
    for strategy in assignments(name):
        for pair in forced_pairs(name, strategy):
            pair.assert_same_order()


@pytest.mark.parametrize("name", NAMES)
def test_every_size_fits_a_form(name: str) -> None:
    assert {k: p.flagged for k, p in case(name).trace.programs.items() if p.flagged} == {}


def test_the_sizes_are_new() -> None:
    for kind, ((units, seq), (images, _)) in UNSEEN.items():
        assert (units, seq) not in SEQUENCE_SIZES[kind]
        assert all(seq != s for _, s in SEQUENCE_SIZES[kind])
        assert kind == "1" or images not in BATCH_SIZES[kind]
