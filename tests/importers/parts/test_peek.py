"""What kind of file it is."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from condsim.errors import CondsimError
from condsim.importers.parts.peek import Peek


def test_members_of_an_archive_lose_their_ending(tmp_path: Path) -> None:
    file = tmp_path / "a.npz"
    np.savez(file, ids=np.zeros(2), weights=np.zeros(2))
    assert Peek(file).members == ("ids", "weights")
    assert not Peek(file).is_npy


def test_a_pickle_is_refused_before_it_is_read(tmp_path: Path) -> None:
    file = tmp_path / "a.pkl"
    file.write_bytes(pickle.dumps([1]))
    refusal = Peek(file).refusal
    assert refusal is not None
    assert "is a pickle" in refusal


def test_columns_are_those_of_the_first_line_unless_it_is_json(tmp_path: Path) -> None:
    table, lines = tmp_path / "a.csv", tmp_path / "a.jsonl"
    table.write_text('layer, "id"\n0,1\n')
    lines.write_text('{"layer": 0, "id": 1}\n[1]\n')
    assert Peek(table).columns == ("layer", "id")
    assert Peek(lines).columns == ()
    assert Peek(lines).records == ({"layer": 0, "id": 1},)
    assert Peek(lines).starts_with == "{"


def test_what_is_no_text_has_no_lines(tmp_path: Path) -> None:
    file = tmp_path / "a.bin"
    file.write_bytes(b"\xff\xfe\x00 binary")
    assert Peek(file).lines == ()


def test_an_empty_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.touch()
    with pytest.raises(CondsimError, match="is empty"):
        Peek(empty)
    with pytest.raises(CondsimError, match="is a folder"):
        Peek(tmp_path)


def test_a_line_of_too_many_brackets_is_no_record(tmp_path: Path) -> None:
    lines = tmp_path / "a.jsonl"
    lines.write_text("[" * 50_000 + "\n")
    assert Peek(lines).records == ()
