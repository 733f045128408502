"""New files of a trace take the places of old ones, all or none, and no other file is touched."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from condsim.errors import CondsimError
from condsim.trace import swap

OLD = {
    "trace.json": "old",
    "profile.yaml": "old",
    "decisions/a.parquet": "same",
    "mine.txt": "mine",
}
NEW = {"trace.json": "new", "decisions/a.parquet": "same", "decisions/b.parquet": "new"}


def folder_of(place: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(text)
    return place


def files_of(folder: Path) -> dict[str, str]:
    files = [file for file in folder.rglob("*") if file.is_file()]
    return {str(file.relative_to(folder)): file.read_text() for file in files}


def test_new_files_replace_old_ones_and_unused_ones_go(tmp_path: Path) -> None:
    target = folder_of(tmp_path / "trace", OLD)
    before = (target / "decisions" / "a.parquet").stat().st_ino
    with swap.staging(target) as work:
        folder_of(work, NEW)
        swap.replace(work, target, ["profile.yaml"])
    assert files_of(target) == NEW | {"mine.txt": "mine"}
    assert (target / "decisions" / "a.parquet").stat().st_ino == before  # who reads it may go on


def test_what_was_published_is_finished_by_the_next_reader(tmp_path: Path) -> None:
    target = folder_of(tmp_path / "trace", OLD)
    journal = folder_of(target / swap.JOURNAL, NEW)
    (journal / swap.UNUSED).write_text(json.dumps(["profile.yaml"]))
    assert swap.pending(target)
    swap.settle(target)
    assert not swap.pending(target)
    assert files_of(target) == NEW | {"mine.txt": "mine"}


def test_only_files_of_a_trace_are_removed_whoever_wrote_the_list(tmp_path: Path) -> None:
    target = folder_of(tmp_path / "trace", OLD)
    journal = folder_of(target / swap.JOURNAL, {})
    journal.mkdir()
    (journal / swap.UNUSED).write_text(
        json.dumps(["mine.txt", "../outside", "decisions/a.parquet"])
    )
    outside = tmp_path / "outside"
    outside.write_text("mine")
    swap.finish(target)
    assert outside.exists()
    assert sorted(files_of(target)) == ["mine.txt", "profile.yaml", "trace.json"]


def test_nothing_appears_where_a_folder_is_by_now(tmp_path: Path) -> None:
    target = folder_of(tmp_path / "trace", OLD)
    with swap.staging(target) as work:
        folder_of(work, NEW)
        assert not swap.appear(work, target)
    assert files_of(target) == OLD
    assert swap.entries(target) == ["decisions", "mine.txt", "profile.yaml", "trace.json"]


def test_what_a_killed_save_left_is_removed_and_what_runs_is_not(tmp_path: Path) -> None:
    left = tmp_path / f"{swap.STAGING}0123456789ab"
    left.mkdir()
    with swap.staging(tmp_path / "trace") as running:
        assert not left.exists()
        swap.clean(tmp_path)
        assert running.exists()
        assert swap.appear(running, tmp_path / "trace")
    assert os.listdir(tmp_path) == ["trace"]


@pytest.mark.parametrize(
    ("made", "words"), [("trace.json/x", "is a folder"), ("decisions", "is a file")]
)
def test_a_folder_whose_places_are_taken_is_refused(tmp_path: Path, made: str, words: str) -> None:
    target = folder_of(tmp_path / "trace", {made: ""})
    with pytest.raises(CondsimError, match=words):
        swap.check_places(target)


@pytest.mark.parametrize("text", ["{", "7", "[" * 50_000, '{"trace.json": 1}'])
def test_a_list_of_unused_files_that_is_none_removes_nothing(tmp_path: Path, text: str) -> None:
    target = folder_of(tmp_path / "trace", OLD)
    journal = folder_of(target / swap.JOURNAL, {})
    journal.mkdir()
    (journal / swap.UNUSED).write_text(text)
    swap.settle(target)
    assert files_of(target) == OLD
