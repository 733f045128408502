"""What is said of several sites is said once."""

from __future__ import annotations

from condsim.show.notes import said_once


def test_notes_that_say_the_same_of_several_sites_become_one() -> None:
    notes = ["a.1: rows are dropped", "of the whole", "a.2: rows are dropped", "a.3: rows move"]
    assert said_once(notes) == [
        "2 sites: rows are dropped",
        "of the whole",
        "a.3: rows move",
    ]


def test_what_begins_no_name_of_a_site_is_left_as_it_is() -> None:
    note = "same-flops keeps no rows: what is said there"
    assert said_once([note, note]) == [note]
