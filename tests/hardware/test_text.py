"""Profiles as YAML: an error is one line that names the file, the field, the value and the rule."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from condsim.errors import CondsimError
from condsim.hardware import hardware, load_profile


def test_round_trip(tmp_path: Path) -> None:
    profile = hardware("google-tpu-v4")
    assert load_profile(profile.save(tmp_path / "deep" / "copy.yaml")) == profile
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["copy.yaml"]


def test_a_failed_save_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    profile = hardware("google-tpu-v4")
    target = profile.save(tmp_path / "copy.yaml")
    before = target.read_text()

    def fail(*_paths: Path) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        profile.save(target)
    assert target.read_text() == before
    assert [p.name for p in tmp_path.iterdir()] == ["copy.yaml"]


def merge(into: dict[str, Any], new: dict[str, Any]) -> None:
    for key, value in new.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            merge(into[key], value)
        else:
            into[key] = value


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"memory": {"hbm": {"bandwidth": {"value": -1.0}}}},
            ["memory.hbm.bandwidth.value", "-1.0", "greater than"],
        ),
        (
            {"memory": {"hbm": {"bandwidth": {"value": float("nan")}}}},
            ["memory.hbm.bandwidth.value", "nan"],
        ),
        (
            {"host": {"dispatch": {"basis": "guessed"}}},
            ["host.dispatch.basis", "guessed", "estimated"],
        ),
        ({"colour": "blue"}, ["colour", "blue", "not permitted"]),
        ({"memory": {"hbm": {"bandwidth": {"value": 1e300}}}}, ["memory.hbm.bandwidth", "1e+300"]),
        ({"memory": {"hbm": {"bandwidth": {"value": 5e-324}}}}, ["memory.hbm.bandwidth", "5e-324"]),
        ({"host": {"dispatch": {"uncertainty": 1e30}}}, ["host.dispatch.uncertainty", "1e+30"]),
        ({"matmul_efficiency": {"value": 2.0}}, ["matmul_efficiency", "from 1e-12 to 1.5"]),
        ({"name": "n" * 300}, ["name", "at most 200"]),
        ({"name": "\x1b[31m"}, ["name", "printable"]),
        ({"description": "d" * 20_000}, ["description", "at most 4000"]),
        ({"dtype": "fp4"}, ["fp4", "peak_flops"]),
        ({"kind": "fpga"}, ["kind", "fpga", "cpu"]),
        (
            {"operators": {"relu": {"sizes": [4, 2], "seconds": [[1e-6, 1e-6]]}}},
            ["operators.relu", "sizes must rise"],
        ),
        (
            {"operators": {"relu": {"sizes": [2, 4], "seconds": [[1e-6]]}}},
            ["operators.relu", "1 rows of 2"],
        ),
    ],
)
def test_a_broken_rule(file: Path, change: dict[str, Any], words: list[str]) -> None:
    fields = yaml.safe_load(file.read_text())
    merge(fields, change)
    file.write_text(yaml.safe_dump(fields))
    with pytest.raises(CondsimError) as error:
        load_profile(file)
    message = str(error.value)
    assert "\n" not in message
    for word in [file.name, *words]:
        assert word in message, message


def test_a_missing_field_is_named(file: Path) -> None:
    fields = yaml.safe_load(file.read_text())
    del fields["host"]["dispatch"]
    file.write_text(yaml.safe_dump(fields))
    with pytest.raises(CondsimError, match=r"host\.dispatch: Field required"):
        load_profile(file)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name: [1, 2\nkind: cpu\n", "not valid YAML at line"),
        ("", "must be a mapping"),
        ("- 1\n", "must be a mapping"),
        ("name: x\n", "Field required"),
    ],
)
def test_files_that_are_no_profile(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text(text)
    with pytest.raises(CondsimError, match=words) as error:
        hardware(path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x: 2001-99-99", "month must be in"),
        ("x: !!int abc", "invalid literal"),
        ("x: !!float abc", "could not convert"),
        ("x: !!bool maybe", "maybe"),
        ("x: !!timestamp abc", "cannot be read"),
        ("x: " + "9" * 5000, "digits"),
        ("x: 2001-01-01", "neither a text nor a number"),
        ("x: !!binary aaaa", "neither a text nor a number"),
        ("x: !!set {a, b}", "neither a text nor a number"),
        ("x: 1\nx: 2", "the key 'x' stands twice"),
        ("x: {y: 1, y: 2}", "the key 'y' stands twice"),
        ("x: &a [*a]", "levels"),
        ("x: " + "[" * 30 + "]" * 30, "levels"),
        ("a: &a [" + "1," * 2000 + "]\nx: [" + "*a," * 2000 + "]", "1,000,000 values"),
        ("x: '" + "a" * (3 << 20) + "'", "larger than 2 MiB"),
    ],
)
def test_whatever_yaml_holds_is_one_short_line(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text(text)
    with pytest.raises(CondsimError, match=words) as error:
        hardware(path)
    assert "broken.yaml" in str(error.value)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 500


def test_truncated_in_the_middle(file: Path) -> None:
    file.write_text(file.read_text()[:1500])
    with pytest.raises(CondsimError, match=r"device\.yaml"):
        hardware(file)


def test_binary_file(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(CondsimError, match=r"x\.yaml"):
        hardware(tmp_path / "x.yaml")
