"""Sizes that are shares of other sizes, found from the sizes of several runs."""

from __future__ import annotations

import math

import pytest

from condsim.capture.probe import SEVERAL_SEQUENCES, SEVERAL_UNITS, SINGLE_SEQUENCES
from condsim.capture.share_forms import fit_share

SEQUENCES = [{"batch": batch, "seq": seq} for batch, seq in SEVERAL_SEQUENCES]
ALONE = [{"batch": batch, "seq": seq} for batch, seq in SINGLE_SEQUENCES]
UNITS = [{"batch": units} for units in SEVERAL_UNITS]


@pytest.mark.parametrize("ratio", [0.25, 0.3, 0.5, 0.7])
def test_a_share_of_the_positions_alone_has_no_form(ratio: float) -> None:
    for samples in (SEQUENCES, ALONE):
        values = tuple(max(1, int(ratio * sample["seq"])) for sample in samples)
        assert fit_share(values, samples) is None


@pytest.mark.parametrize("factor", [1.0, 1.25, 1.5, 2.0])
@pytest.mark.parametrize("experts", [4, 8])
def test_a_capacity_of_the_rows_is_found(factor: float, experts: int) -> None:
    values = tuple(math.ceil(factor * 12 * sample["batch"] / experts) for sample in UNITS)
    found = fit_share(values, UNITS)
    if found is None:  # a polynomial gives it
        assert (12 * factor / experts).is_integer()
        return
    coefficient, share = found
    for units in (1, 9, 16, 32, 100):
        expected = math.ceil(factor * 12 * units / experts)
        off = coefficient * share.value({"batch": units}) - expected
        assert abs(off) <= (0 if units <= max(SEVERAL_UNITS) else 1)


def test_several_times_a_share_is_found() -> None:
    values = tuple(4 * math.ceil(3.75 * sample["batch"]) for sample in UNITS)
    found = fit_share(values, UNITS)
    assert found is not None
    coefficient, share = found
    assert coefficient * share.value({"batch": 50}) == 4 * math.ceil(3.75 * 50)


def test_what_follows_nothing_is_no_share() -> None:
    values = tuple((7 * sample["batch"] ** 2) % 23 for sample in UNITS)
    assert fit_share(values, UNITS) is None


def test_sizes_behind_a_guard_are_no_shares() -> None:
    samples = [{**sample, "rows": 1} for sample in UNITS]
    values = tuple(sample["batch"] // 2 for sample in UNITS)
    assert fit_share(values, samples) is None
