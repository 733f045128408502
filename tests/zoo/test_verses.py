"""Verses are read from both texts, tidied, and kept apart by book; what is missing is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from condsim.errors import CondsimError
from condsim.zoo import verses
from condsim.zoo.verses import (
    HELD_OUT_BOOKS,
    Pair,
    digest_of,
    read_pairs,
    split,
    sword_folder,
    tidied,
    verse_sample,
)


def test_the_sample_holds_whole_books_and_no_empty_verse() -> None:
    pairs = verse_sample()
    assert {pair.book for pair in pairs} == set(HELD_OUT_BOOKS)
    assert len(pairs) == 810
    assert all(pair.english and pair.spanish for pair in pairs)
    assert not split(pairs)[0]


def test_words_keep_one_space_and_marks_none() -> None:
    assert tidied("  God \n created , and ( saw ) . ") == "God created, and ( saw)."


def test_held_out_books_are_not_trained_on_and_the_digest_follows_the_text() -> None:
    pairs = [Pair("Mark", "a", "b"), Pair("Luke", "c", "d")]
    training, held_out = split(pairs)
    assert (training, held_out) == (pairs[1:], pairs[:1])
    assert digest_of(training) != digest_of(held_out)
    assert len(digest_of(training)) == 64


def test_missing_texts_are_named_with_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONDSIM_SWORD", str(tmp_path))
    with pytest.raises(CondsimError, match="install the Debian packages sword-text-web and sword-"):
        sword_folder()


@pytest.mark.skipif(not Path(verses.SWORD, "mods.d").exists(), reason="the texts are not installed")
def test_installed_texts_give_what_the_sample_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    only = {"Jonah": [17, 10, 10, 11]}
    monkeypatch.setattr(verses, "_chapters", lambda _: only)
    sample = [pair for pair in verse_sample() if pair.book == "Jonah"]
    assert read_pairs() == sample
