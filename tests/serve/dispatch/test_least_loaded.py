"""The replica with the fewest requests."""

from __future__ import annotations

from condsim.serve.dispatch.least_loaded import least_loaded


def test_the_first_of_those_with_the_fewest_requests_is_chosen() -> None:
    assert least_loaded(5, [3, 1, 1]) == 1
    assert least_loaded(0, [0]) == 0
