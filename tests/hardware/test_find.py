"""Profiles by name, by path, and this machine's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from condsim.errors import CondsimError
from condsim.hardware import cache_folder, fingerprint, hardware, profiles
from condsim.resources import resource

SHIPPED = sorted(p.stem for p in resource("hwprofiles").glob("*.yaml"))


def quantities(value: object) -> list[dict[str, object]]:
    """All quantities in the fields of a profile."""
    if not isinstance(value, dict):
        return []
    if "basis" in value:
        return [value]
    return [quantity for field in value.values() for quantity in quantities(field)]


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_profile_loads_and_every_figure_says_where_it_is_from(name: str) -> None:
    profile = hardware(name)
    assert profile.name == name
    assert "EXPERIMENTAL" in profile.description or profile.calibrated
    figures = quantities(profile.model_dump())
    assert len(figures) > 8
    for figure in figures:
        assert figure["basis"] in ("measured", "calibrated", "sourced", "estimated")
        assert figure["basis"] != "sourced" or figure["source"]


@pytest.mark.parametrize("name", SHIPPED)
def test_every_number_is_printed_with_its_source(name: str) -> None:
    """One a line by `condsim profiles NAME`: sourced with where from, estimated with why."""
    from condsim.cli.machine import numbers

    text = (resource("hwprofiles") / f"{name}.yaml").read_text()
    listed = numbers(hardware(name))
    assert len([n for n in listed if n["value"] is not None]) == text.count("basis: ")
    assert all(n["source"] for n in listed)


def test_no_such_file(tmp_path: Path) -> None:
    for path in (tmp_path / "none.yaml", str(tmp_path / "none.yaml")):
        with pytest.raises(CondsimError, match="cannot read the profile"):
            hardware(path)


def test_an_unknown_name_names_the_nearest() -> None:
    with pytest.raises(
        CondsimError,
        match=r"unknown profile 'h100-sxm'; did you mean 'nvidia-h100-sxm'.*condsim profiles",
    ):
        hardware("h100-sxm")


def test_this_machine_without_a_calibration_says_how_to_make_one() -> None:
    with pytest.raises(CondsimError, match="condsim calibrate"):
        hardware("this-machine")


def test_this_machine_is_the_newest_with_the_same_fingerprint() -> None:
    other = hardware("intel-i7-8700")
    other.save(cache_folder() / "other.yaml")
    (cache_folder() / "half.yaml").write_text("name: ")
    with pytest.raises(CondsimError, match="no calibrated profile"):
        hardware("this-machine")
    mine = other.replace(name="mine", fingerprint=fingerprint())
    mine.save(cache_folder() / "mine.yaml")
    assert hardware("this-machine") == mine
    assert hardware("mine") == mine
    assert "mine" in profiles()


def test_a_calibration_that_cannot_be_read_is_named_and_left_out() -> None:
    mine = hardware("intel-i7-8700").replace(name="mine", fingerprint=fingerprint())
    mine.save(cache_folder() / "mine.yaml")
    (cache_folder() / "half.yaml").write_text("name: 2001-99-99")
    (cache_folder() / "nowhere.yaml").symlink_to("/nowhere")
    with pytest.warns(UserWarning, match=r"left out: .*half\.yaml"):
        assert hardware("this-machine") == mine


@pytest.mark.parametrize("name", [5, None, b"x.yaml", "\0.yaml", "\ud800.yaml", ["x"]])
def test_what_is_no_name(name: Any) -> None:
    with pytest.raises(CondsimError, match="a profile"):
        hardware(name)


def test_a_file_that_changes_is_read_anew(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    text = (resource("hwprofiles") / "raspberry-pi-5.yaml").read_text()
    file.write_text(text)
    first = hardware(file)
    assert hardware(file) is first
    file.write_text(text.replace("name: raspberry-pi-5", "name: another"))
    assert hardware(file).name == "another"
