"""What the user typed is checked before anything is done, and opened."""

from __future__ import annotations

from pathlib import Path

import pytest

import condsim
from cli.harness import GPU, Run
from condsim.cli.arguments import (
    all_devices,
    check_at_least_one,
    check_known,
    check_output_file,
    open_trace,
    profile_for,
)
from condsim.errors import CondsimError
from condsim.hardware import profiles


@pytest.mark.parametrize("value", [None, 1, 7])
def test_counts_that_are_possible(value: int | None) -> None:
    check_at_least_one("batch", value)


@pytest.mark.parametrize("value", [0, -3])
def test_counts_that_are_not(value: int) -> None:
    with pytest.raises(CondsimError, match=f"batch must be at least 1, got {value}"):
        check_at_least_one("batch", value)


def test_an_unknown_name_is_told_the_nearest() -> None:
    check_known("baseline", "same-flops", ("same-params", "same-flops"))
    check_known("baseline", None, ("same-params", "same-flops"))
    with pytest.raises(CondsimError, match="same-flops"):
        check_known("baseline", "same-flop", ("same-params", "same-flops"))


def test_files_that_cannot_be_written(tmp_path: Path) -> None:
    check_output_file(None)
    check_output_file(tmp_path / "w.SVG", (".svg", ".pdf"))
    with pytest.raises(CondsimError, match=r"must end in \.svg, \.pdf"):
        check_output_file(tmp_path / "w.bmp", (".svg", ".pdf"))
    with pytest.raises(CondsimError, match="there is no folder"):
        check_output_file(tmp_path / "nowhere" / "w.svg")
    with pytest.raises(CondsimError, match="is a folder"):
        check_output_file(tmp_path)


def test_a_trace_is_opened_by_folder_or_by_name(trace: Path) -> None:
    assert open_trace(str(trace)).name == condsim.load(trace).name
    assert open_trace("moe-bytes").name == "moe-bytes"
    with pytest.raises(CondsimError, match="did you mean 'moe-bytes'"):
        open_trace("moe-byte")
    with pytest.raises(CondsimError, match="there is no folder"):
        open_trace("no/where")


def test_the_profile_is_the_named_one_else_the_one_of_the_trace() -> None:
    trace = open_trace("moe-bytes")
    assert profile_for(GPU, trace).name == GPU
    assert profile_for(None, trace) == trace.profile


def test_all_devices_begin_with_the_one_of_the_trace(run: Run) -> None:
    trace = open_trace("moe-bytes")
    names = [device.name for device in all_devices(trace)]
    assert names[0] == trace.profile.name
    assert set(profiles()) <= set(names)
    assert len(names) == len(set(names))
