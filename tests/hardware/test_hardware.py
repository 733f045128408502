"""Profiles: what a file may say, and what is said when it breaks a rule."""

import sys
from pathlib import Path

import pytest
import yaml

from condsim.errors import CondsimError
from condsim.hardware import (
    HardwareProfile,
    cache_folder,
    fingerprint,
    hardware,
    load_profile,
    profiles,
)
from condsim.resources import resource

SHIPPED = sorted(p.stem for p in resource("hwprofiles").glob("*.yaml"))


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        sys.modules[cache_folder.__module__],
        "user_cache_dir",
        lambda _name: str(tmp_path / "cache"),
    )


@pytest.fixture
def file(tmp_path: Path) -> Path:
    target = tmp_path / "device.yaml"
    target.write_text((resource("hwprofiles") / "nvidia-h100-sxm.yaml").read_text())
    return target


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_profile_loads_and_every_figure_says_where_it_is_from(name: str) -> None:
    profile = hardware(name)
    assert profile.name == name
    assert "EXPERIMENTAL" in profile.description or profile.calibrated

    def quantities(value: object) -> list[dict[str, object]]:
        if isinstance(value, dict):
            return (
                [value] if "basis" in value else [q for v in value.values() for q in quantities(v)]
            )
        return []

    found = quantities(profile.model_dump())
    assert len(found) > 8
    for q in found:
        assert q["basis"] in ("measured", "calibrated", "sourced", "estimated")
        assert q["basis"] != "sourced" or q["source"]


def test_uncertainty_follows_the_basis() -> None:
    profile = hardware("nvidia-h100-sxm")
    assert profile.peak_flops["bf16"].relative == 0.10
    assert profile.matmul_efficiency.relative == 0.10
    assert profile.host.view.relative == 0.30
    assert profile.host.synchronise.relative == 0.5


def test_round_trip(tmp_path: Path) -> None:
    profile = hardware("google-tpu-v4")
    assert load_profile(profile.save(tmp_path / "deep" / "copy.yaml")) == profile
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["copy.yaml"]


def test_a_failed_save_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    profile = hardware("google-tpu-v4")
    target = profile.save(tmp_path / "copy.yaml")
    before = target.read_text()
    monkeypatch.setattr(Path, "replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        profile.save(target)
    assert target.read_text() == before
    assert [p.name for p in tmp_path.iterdir()] == ["copy.yaml"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"memory": {"hbm": {"bandwidth": {"value": -1.0}}}},
            ["memory.hbm.bandwidth.value", "-1.0", "greater than 0"],
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
def test_a_broken_rule_is_one_line_that_names_file_field_value_and_rule(
    file: Path, change: dict[str, object], words: list[str]
) -> None:
    def merge(into: dict[str, object], new: dict[str, object]) -> None:
        for key, value in new.items():
            if isinstance(value, dict) and isinstance(into.get(key), dict):
                merge(into[key], value)  # type: ignore[arg-type]
            else:
                into[key] = value

    data = yaml.safe_load(file.read_text())
    merge(data, change)
    file.write_text(yaml.safe_dump(data))
    with pytest.raises(CondsimError) as e:
        load_profile(file)
    message = str(e.value)
    assert "\n" not in message
    for word in [file.name, *words]:
        assert word in message, message


def test_a_missing_field_is_named(file: Path) -> None:
    data = yaml.safe_load(file.read_text())
    del data["host"]["dispatch"]
    file.write_text(yaml.safe_dump(data))
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
    with pytest.raises(CondsimError, match=words) as e:
        hardware(path)
    assert "\n" not in str(e.value)


def test_truncated_in_the_middle(file: Path) -> None:
    file.write_text(file.read_text()[:1500])
    with pytest.raises(CondsimError, match=r"device\.yaml"):
        hardware(file)


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(CondsimError, match="cannot read the profile"):
        hardware(tmp_path / "none.yaml")
    with pytest.raises(CondsimError, match="cannot read the profile"):
        hardware(str(tmp_path / "none.yaml"))


def test_binary_file(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(CondsimError, match=r"x\.yaml"):
        hardware(tmp_path / "x.yaml")


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


def test_replace_is_a_what_if_and_leaves_the_original() -> None:
    profile = hardware("nvidia-h100-sxm")
    faster = profile.replace(**{"memory.hbm.bandwidth": 1e13, "dtype": "fp8"})
    assert faster.memory["hbm"].bandwidth.value == 1e13
    assert faster.memory["hbm"].bandwidth.basis == "estimated"
    assert faster.dtype == "fp8"
    assert profile.memory["hbm"].bandwidth.value != 1e13
    assert profile.dtype == "bf16"


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("memory.hbm.bandwith", 1.0, "did you mean 'memory.hbm.bandwidth'"),
        ("memory.dram.bandwidth", 1.0, "unknown profile field"),
        ("memory.hbm.bandwidth", 0.0, "greater than 0"),
        ("memory.hbm.bandwidth", "fast", "memory.hbm.bandwidth.value"),
    ],
)
def test_replace_refuses(path: str, value: object, words: str) -> None:
    with pytest.raises(CondsimError, match=words):
        hardware("nvidia-h100-sxm").replace(**{path: value})


def test_fingerprint_is_stable_and_counts_threads() -> None:
    assert fingerprint() == fingerprint()
    assert fingerprint(2) != fingerprint(1)
    assert {"cpu", "threads", "torch"} <= set(fingerprint())


def test_profiles_are_frozen() -> None:
    profile: HardwareProfile = hardware("nvidia-h100-sxm")
    with pytest.raises(ValueError, match="frozen"):
        profile.name = "x"


@pytest.mark.parametrize("name", SHIPPED)
def test_every_number_is_printed_with_its_source(name: str) -> None:
    """One a line by `condsim profiles NAME`: sourced with where it is from, estimated with why."""
    from condsim.cli.machine import numbers

    text = (resource("hwprofiles") / f"{name}.yaml").read_text()
    listed = numbers(hardware(name))
    assert len([n for n in listed if n["value"] is not None]) == text.count("basis: ")
    assert all(n["source"] for n in listed)
