"""What was found in a recording, in sentences."""

from __future__ import annotations

from condsim.importers.parts.notes import spans


def test_numbers_that_follow_each_other_are_a_range() -> None:
    assert spans([5, 0, 1, 2]) == "0-2, 5"
    assert spans([7]) == "7"
    assert spans([]) == ""
