"""Files that anyone may have written: never more than a limit, and one line that names the file."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from condsim.errors import CondsimError
from condsim.untrusted import (
    MOST_CHARACTERS,
    check_name,
    parse_json,
    parsing,
    read_bytes,
    read_gzip,
)

TEXT = b"abcdefgh" * 100


def flipped(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 255]) + data[middle + 1 :]


def test_members_of_a_gzip_file_are_read_one_after_the_other(tmp_path: Path) -> None:
    file = tmp_path / "x.gz"
    file.write_bytes(gzip.compress(TEXT) + gzip.compress(TEXT))
    assert read_gzip(file, 2 * len(TEXT)) == TEXT + TEXT


@pytest.mark.parametrize("members", [1, 2])
def test_a_gzip_file_is_unpacked_no_further_than_its_limit(tmp_path: Path, members: int) -> None:
    file = tmp_path / "x.gz"
    file.write_bytes(gzip.compress(TEXT) * members)
    with pytest.raises(CondsimError, match=r"x\.gz unpacks to more than"):
        read_gzip(file, len(TEXT) * members - 1)


@pytest.mark.parametrize(
    "damage",
    [
        flipped,
        lambda data: data[:-9],
        lambda data: data[:5],
        lambda data: data + b"no gzip",
        lambda _: b"no gzip",
    ],
)
def test_a_damaged_gzip_file_is_one_line(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    file = tmp_path / "x.gz"
    file.write_bytes(damage(gzip.compress(os.urandom(500))))
    with pytest.raises(CondsimError, match=r"x\.gz is damaged") as error:
        read_gzip(file, 10_000)
    assert "\n" not in str(error.value)


def test_a_file_is_read_no_further_than_its_limit(tmp_path: Path) -> None:
    file = tmp_path / "x"
    file.write_bytes(TEXT)
    assert read_bytes(file, len(TEXT)) == TEXT
    with pytest.raises(CondsimError, match="is larger than"):
        read_bytes(file, len(TEXT) - 1)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(CondsimError, match="pipe is not a file"):
        read_bytes(tmp_path / "pipe", 10)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b'{"a": 1, "a": 2}', "the key 'a' stands twice"),
        (b"[NaN]", "NaN is no number"),
        (b"[-Infinity]", "-Infinity is no number"),
        (b"[" * 100_000, "RecursionError"),
        (b"9" * 5000, "digits"),
        (b"\xff", "UnicodeDecodeError"),
        (b"{", "JSONDecodeError"),
    ],
)
def test_json_that_is_none_is_one_line(tmp_path: Path, text: bytes, words: str) -> None:
    with pytest.raises(CondsimError, match=words) as error:
        parse_json(text, tmp_path / "x.json")
    assert "x.json" in str(error.value)


@pytest.mark.parametrize("error", [KeyError("a"), MemoryError(), AssertionError("b\nc")])
def test_whatever_a_parser_raises_names_the_file(error: Exception) -> None:
    with pytest.raises(CondsimError, match="x is damaged") as said, parsing("x"):
        raise error
    assert "\n" not in str(said.value)


@pytest.mark.parametrize("name", ["", "a\nb", "\x1b[31m", "\ud800", "n" * (MOST_CHARACTERS + 1)])
def test_names_are_short_and_printable(name: str) -> None:
    with pytest.raises(ValueError, match="must"):
        check_name(name)


def test_other_names_are_left_as_they_are() -> None:
    assert check_name("layers.0/mlp é") == "layers.0/mlp é"
