"""Uploads: what is in order is kept, what is not is refused in one line; nothing is left behind."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

import condsim
from condsim.dashboard.parts import upload
from condsim.resources import resource
from dashboard.bad_uploads import bad_uploads, files_of, packed, with_header, with_separators

GOOD = resource("traces") / "exit-fashion"
BAD = bad_uploads(GOOD)


def test_a_zip_and_its_folder_are_the_same_trace(tmp_path: Path) -> None:
    files = files_of(GOOD)
    name = upload.keep_zip(packed(files), "mine.zip", tmp_path)
    assert upload.keep_zip(with_separators(files, "\\"), "windows.zip", tmp_path) == name
    deeper = packed({f"some/where/{path}": data for path, data in files.items()})
    assert upload.keep_zip(deeper, "other.zip", tmp_path) == name
    listed = [(f"exit/{path}", io.BytesIO(data)) for path, data in files.items()]
    listed.append(("exit/.DS_Store", io.BytesIO(b"x")))
    assert upload.keep_files(listed, "exit", tmp_path) == name
    assert [path.name for path in tmp_path.iterdir()] == [name]
    kept = condsim.simulate(condsim.load(tmp_path / name))
    assert kept.speedup == condsim.simulate(condsim.load(GOOD)).speedup


@pytest.mark.usefixtures("low_limits")
@pytest.mark.parametrize("case", BAD)
def test_what_is_not_a_trace_is_refused_in_one_line(case: str, tmp_path: Path) -> None:
    data, said = BAD[case]
    with pytest.raises(condsim.CondsimError) as caught:
        upload.keep_zip(data, "mine.zip", tmp_path)
    message = str(caught.value)
    assert said in message
    assert str(tmp_path) not in message
    assert "\n" not in message
    assert len(message) < 400
    assert not list(tmp_path.iterdir())
    assert not (tmp_path.parent / "evil.json").exists()


def test_a_folder_is_named_by_its_digest(tmp_path: Path) -> None:
    files = files_of(GOOD)
    begins = "n" * upload.NAME_CHARACTERS
    names = [
        upload.keep_zip(packed(with_header(files, name="n" * length)), "mine.zip", tmp_path)
        for length in (60, 61)
    ]
    assert len(set(names)) == 2
    assert all(name.startswith(f"{begins}-") for name in names)
    hidden = upload.keep_zip(packed(with_header(files, name="..")), "mine.zip", tmp_path)
    assert hidden.startswith("trace-")


def test_what_a_user_calls_an_upload_is_shortened(tmp_path: Path) -> None:
    with pytest.raises(condsim.CondsimError) as caught:
        upload.keep_zip(b"hello", "line\n" * 100 + ".zip", tmp_path)
    assert len(str(caught.value)) < 400
    assert "\n" not in str(caught.value)
