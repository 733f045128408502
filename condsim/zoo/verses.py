"""Sentence pairs that a translation model is trained on: verses in English and in Spanish.

Both texts are in the public domain, and are packages of Debian: the World English Bible
(sword-text-web) and the Reina-Valera of 1909 (sword-text-sparv). Books that no model is trained on
are in the package, as a sample.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import Any, NamedTuple

from condsim.errors import CondsimError
from condsim.zoo.data import SAMPLES

SWORD = "/usr/share/sword"
ENGLISH, SPANISH = "engWEB2015eb", "spaRV1909eb"
HELD_OUT_BOOKS = ("Mark", "Ruth", "Jonah")
"""No model is trained on them; the sample consists of them."""
SAMPLE = SAMPLES / "verses.tsv"
SPACE = re.compile(r"\s+")
SPACE_BEFORE_MARK = re.compile(r"\s+(?=[,.;:!?”’)])")


class Pair(NamedTuple):
    """A verse. book: its English name. english, spanish: the text, without notes and titles."""

    book: str
    english: str
    spanish: str


def sword_folder() -> Path:
    """Where both texts are. Raises CondsimError where one is not."""
    folder = Path(os.environ.get("CONDSIM_SWORD", SWORD))
    for module in (ENGLISH, SPANISH):
        if not (folder / "mods.d" / f"{module}.conf").exists():
            raise CondsimError(
                f"no {module} in {folder}: install the Debian packages sword-text-web and "
                "sword-text-sparv, or set CONDSIM_SWORD to a folder with both modules"
            )
    return folder


def read_pairs() -> list[Pair]:
    """All verses that both texts have, in order. Takes a minute.

    The texts number verses differently (NRSVA and KJV); a verse that one of them has not, or has
    empty, is left out. Raises CondsimError where pysword or a text is not installed.
    """
    folder = sword_folder()
    try:
        from pysword.modules import SwordModules
    except ImportError:
        raise CondsimError(
            "verses are read with pysword: pip install 'condsim[translation]'"
        ) from None
    modules = SwordModules(str(folder))
    modules.parse_modules()
    english = modules.get_bible_from_module(ENGLISH)
    spanish = modules.get_bible_from_module(SPANISH)
    chapters_of = _chapters(english)
    pairs: list[Pair] = []
    for book, lengths in _chapters(spanish).items():
        other_lengths = chapters_of.get(book, [])
        for number, verses in enumerate(map(min, lengths, other_lengths), start=1):
            for verse in range(1, verses + 1):
                pair = Pair(
                    book,
                    _verse(english, book, number, verse),
                    _verse(spanish, book, number, verse),
                )
                if pair.english and pair.spanish:
                    pairs.append(pair)
    return pairs


def _chapters(text: Any) -> dict[str, list[int]]:
    """Name of a book → verses of each of its chapters."""
    chapters: dict[str, list[int]] = {}
    for books in text.get_structure().get_books().values():
        for book in books:
            chapters[book.name] = book.chapter_lengths
    return chapters


def _verse(text: Any, book: str, chapter: int, verse: int) -> str:
    """A verse without notes. A note stands where a space would: it is replaced by one."""
    from pysword.cleaner import OSISCleaner

    raw = text.get(books=[book], chapters=[chapter], verses=[verse], clean=False)
    spaced = raw.replace("</note>", "</note> ")
    return tidied(OSISCleaner().clean(spaced))


def tidied(text: str) -> str:
    """A text with one space between words and none before a mark."""
    single = SPACE.sub(" ", text).strip()
    return SPACE_BEFORE_MARK.sub("", single)


def split(pairs: list[Pair]) -> tuple[list[Pair], list[Pair]]:
    """Pairs to train on, and those of the books that are held out."""
    training: list[Pair] = []
    held_out: list[Pair] = []
    for pair in pairs:
        part = held_out if pair.book in HELD_OUT_BOOKS else training
        part.append(pair)
    return training, held_out


def digest_of(pairs: list[Pair]) -> str:
    """The SHA-256 of what a model is trained on."""
    lines = ["\t".join(pair) for pair in pairs]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def verse_sample() -> list[Pair]:
    """The verses of the held-out books (in the package)."""
    lines = SAMPLE.read_text(encoding="utf-8").splitlines()
    return [Pair(*line.split("\t")) for line in lines]
