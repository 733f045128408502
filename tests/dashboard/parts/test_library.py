"""The library of traces and devices."""

from __future__ import annotations

import os
import signal
import tempfile
from pathlib import Path

import pytest

from condsim.cli.browser import GIVEN
from condsim.dashboard.parts import library
from condsim.dashboard.parts.scenario import Scenario
from condsim.resources import resource


def test_shipped_traces_go_by_name_and_others_by_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine").symlink_to(resource("traces") / "exit-fashion")
    monkeypatch.setenv(GIVEN, str(tmp_path / "mine"))
    assert library.where("moe-bytes") == "moe-bytes"
    (name,) = library.given()
    assert library.given()[name] == tmp_path / "mine"
    assert library.where(name) == str(tmp_path / "mine")


@pytest.mark.parametrize("folder", ["", "nowhere"])
def test_no_trace_is_given_where_there_is_none(
    folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(GIVEN, folder)
    assert library.given() == {}


def test_a_stamp_differs_when_a_file_changes(tmp_path: Path) -> None:
    assert library.stamp(tmp_path) == (0, 0)
    file = tmp_path / "steps.parquet"
    file.write_bytes(b"12")
    before = library.stamp(tmp_path)
    os.utime(file, ns=(1, 1))
    assert before[1] == 2
    assert library.stamp(tmp_path) == (1, 2) != before


def test_a_result_is_computed_once_for_a_scenario() -> None:
    calls = []

    def compute(trace: object, profile: object) -> int:
        calls.append(trace)
        return len(calls)

    scenario = Scenario(name="exit-fashion", where="exit-fashion", batch=1)
    name = "test_a_result_is_computed_once"
    assert library.computed_once(name, scenario, compute) == 1
    assert library.computed_once(name, scenario, compute) == 1
    other = Scenario(name="exit-fashion", where="exit-fashion", batch=2)
    assert library.computed_once(name, other, compute) == 2


def test_uploads_of_a_server_that_was_killed_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    killed = os.fork()
    if killed == 0:
        try:
            library.uploads.clear()
            (library.uploads() / "a").mkdir()
        finally:
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(killed, 0)
    (left,) = tmp_path.iterdir()
    library.uploads.clear()
    own = library.uploads().parent
    assert list(tmp_path.iterdir()) == [own]
    assert own != left
    library.uploads.clear()
