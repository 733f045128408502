"""What is imported while a page is read."""

import sys

from condsim.dashboard.parts import warm_up


def test_all_that_recording_needs_is_there_afterwards() -> None:
    warm_up.import_them()
    assert all(name in sys.modules for name in warm_up.NEEDED)


def test_it_begins_once() -> None:
    assert warm_up.begin() is warm_up.begin()
