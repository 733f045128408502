"""Who prices chunks."""

import os

import pytest

from condsim.decide.sweep.workers import FEW_POINTS, Workers


@pytest.mark.parametrize(("points", "alone"), [(1, True), (FEW_POINTS, True), (1000, False)])
def test_few_points_start_no_other_process(points: int, alone: bool) -> None:
    with Workers().running(None, points) as count:
        assert count == (1 if alone else len(os.sched_getaffinity(0)))


def test_a_number_that_was_named_is_kept() -> None:
    with Workers(3).running(None, 1) as count:
        assert count == 3
