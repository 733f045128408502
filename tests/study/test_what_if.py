"""Numbers of a device, changed: what they are, and how well they are known."""

from __future__ import annotations

import pytest

from condsim.errors import CondsimError
from condsim.hardware import hardware
from condsim.study.what_if import number_at, paths_of_numbers, scaled

DEVICE = "raspberry-pi-5"


def test_a_number_that_is_changed_is_an_estimate_known_as_well_as_before() -> None:
    device = hardware(DEVICE)
    for path in paths_of_numbers(device):
        was, becomes = number_at(device, path), number_at(scaled(device, {path: 1.25}), path)
        assert becomes.value == pytest.approx(1.25 * was.value)
        assert becomes.relative == was.relative
        assert (becomes.basis, becomes.source) == ("estimated", "what if x1.25")


def test_a_factor_of_one_changes_nothing() -> None:
    device = hardware(DEVICE)
    assert scaled(device, {"memory.dram.bandwidth": 1.0}) is device


@pytest.mark.parametrize("path", ["memory.hbm.bandwidth", "memory", "name", "no.such"])
def test_what_is_no_number_is_refused(path: str) -> None:
    device = hardware(DEVICE)
    with pytest.raises(CondsimError, match=f"no number {path}"):
        scaled(device, {path: 2.0})
    with pytest.raises(CondsimError, match=f"no number {path}"):
        number_at(device, path)
