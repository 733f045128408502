"""A calibration of the CPU with very few sizes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from calibrate.conftest import TinyCalibration

from condsim.calibrate import calibrate, cpu, shapes
from condsim.errors import CondsimError
from condsim.hardware import (
    CheckedCase,
    HardwareProfile,
    SelfCheck,
    cache_folder,
    fingerprint,
    hardware,
    this_machine,
)


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's cache is an empty folder."""
    find = sys.modules[cache_folder.__module__]
    monkeypatch.setattr(find, "user_cache_dir", lambda _name: str(tmp_path))


@pytest.fixture(scope="module")
def in_bf16() -> HardwareProfile:
    return calibrate(size=shapes.TINY, save=False, dtype="bf16")


def test_a_calibration_can_be_saved_and_read(tiny_profile: HardwareProfile, tmp_path: Path) -> None:
    back = hardware(tiny_profile.save(tmp_path / "own.yaml"))
    assert back == tiny_profile
    assert back.fingerprint == fingerprint()


@pytest.mark.usefixtures("own_cache")
def test_it_is_saved_where_this_machine_finds_it(
    monkeypatch: pytest.MonkeyPatch, tiny_profile: HardwareProfile
) -> None:
    monkeypatch.setattr(cpu, "_measure", lambda *_: None)
    monkeypatch.setattr(cpu, "profile_of", lambda *_: tiny_profile)
    calibrate()
    assert hardware("this-machine").name == tiny_profile.name


@pytest.mark.usefixtures("own_cache")
def test_a_calibration_is_checked_before_it_is_kept(
    monkeypatch: pytest.MonkeyPatch, tiny_profile: HardwareProfile
) -> None:
    ratios = {"measured_s": 1e-3, "latency": 1.1, "baseline": 0.9, "speedup": 1.0}
    case = CheckedCase(module="stack", batch=1, protocol="loop", **ratios)
    found = SelfCheck(cases=[case], disturbed=0.25)
    seen: list[HardwareProfile] = []

    def check(profile: HardwareProfile, _progress: object) -> SelfCheck:
        seen.append(profile)
        return found

    monkeypatch.setattr(cpu, "_measure", lambda *_: None)
    monkeypatch.setattr(cpu, "profile_of", lambda *_: tiny_profile)
    assert calibrate(check=check).self_check == found
    assert seen == [tiny_profile]
    assert hardware("this-machine").self_check == found


@pytest.mark.usefixtures("own_cache")
def test_costs_of_compiled_graphs_are_kept_though_not_measured_again(
    monkeypatch: pytest.MonkeyPatch, tiny_profile: HardwareProfile
) -> None:
    extra_s = {**tiny_profile.extra_s, "compiled.graph": 1e-4}
    with_graphs = tiny_profile.model_copy(update={"extra_s": extra_s})
    monkeypatch.setattr(cpu, "_measure", lambda *_: None)
    monkeypatch.setattr(cpu, "profile_of", lambda *_: with_graphs)
    calibrate(compiled=True)
    monkeypatch.setattr(cpu, "profile_of", lambda *_: tiny_profile)
    assert calibrate().extra_s["compiled.graph"] == 1e-4
    assert hardware("this-machine").extra_s["compiled.graph"] == 1e-4


@pytest.mark.usefixtures("own_cache")
def test_this_machine_has_a_profile_for_each_dtype(
    tiny_profile: HardwareProfile, in_bf16: HardwareProfile
) -> None:
    assert this_machine() is None
    for profile in (tiny_profile, in_bf16):
        profile.save(cache_folder() / f"{profile.name}.yaml")
    assert this_machine() == tiny_profile
    assert this_machine(dtype="bf16") == in_bf16


def test_a_calibration_in_bf16_times_bf16(
    in_bf16: HardwareProfile, tiny_profile: HardwareProfile
) -> None:
    assert in_bf16.dtype == "bf16"
    assert list(in_bf16.peak_flops) == ["bf16"]
    assert in_bf16.name == f"{tiny_profile.name}-bf16"
    of_sparse = {name for name in tiny_profile.operators if "csr" in name or "sparse" in name}
    assert in_bf16.operators.keys() == tiny_profile.operators.keys() - of_sparse
    assert in_bf16.residency is not None
    assert tiny_profile.residency is not None
    doubled = [2 * size for size in in_bf16.residency.bytes]
    assert doubled == pytest.approx(tiny_profile.residency.bytes, rel=1e-3)


def test_an_unknown_dtype_is_refused() -> None:
    with pytest.raises(CondsimError, match="unknown dtype 'fp8'"):
        calibrate(dtype="fp8")


def test_progress_says_what_is_measured_and_the_share_done(tiny: TinyCalibration) -> None:
    assert {what for what, _ in tiny.told} == {
        "evicted weights",
        "distant activations",
        "among others",
        "in loops",
        "evicted code",
        "operators and matmuls",
        "Python",
    }
    assert all(0 <= share <= 1 for _, share in tiny.told)


def test_something_may_be_done_between_rounds(tiny: TinyCalibration) -> None:
    assert [number for number, _ in tiny.between] == list(range(shapes.TINY.rounds - 1))
    assert all(fast_s > 0 for _, fast_s in tiny.between)


def test_cases_of_the_caller_are_timed_and_are_not_in_the_profile(tiny: TinyCalibration) -> None:
    assert tiny.seconds.keys() == {("sum", 3)}
    assert min(tiny.seconds.values()) > 0
    assert "sum" not in tiny.profile.matmuls


def test_inference_mode_ends_with_the_calibration(tiny: TinyCalibration) -> None:
    assert tiny.profile.calibrated
    assert not torch.is_inference_mode_enabled()
