"""calibrate and profiles: what condsim knows about devices, number by number."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.harness import GPU, Run, check_refused, parsed
from condsim.cli.machine import count, numbers
from condsim.hardware import CheckedCase, SelfCheck, hardware, profiles

BASES = {"measured", "calibrated", "sourced", "estimated"}


def test_the_list_has_every_profile_that_comes_with_condsim(run: Run) -> None:
    listed = parsed(run("profiles", "--json"))["profiles"]
    assert {profile["name"] for profile in listed} == set(profiles())
    done = run("profiles")
    assert done.code == 0
    for name in profiles():
        assert name in done.out


def test_a_profile_s_numbers_are_its_own(run: Run) -> None:
    listed = parsed(run("profiles", GPU, "--json"))["profile"]["numbers"]
    values = {row["what"]: row["value"] for row in listed}
    assert {row["basis"] for row in listed} <= BASES
    assert values["peak_flops.bf16"] == hardware(GPU).peak_flops["bf16"].value


@pytest.mark.parametrize("name", profiles())
def test_no_number_is_listed_twice(name: str) -> None:
    paths = [row["what"] for row in numbers(hardware(name))]
    assert len(paths) == len(set(paths))


def test_a_checked_profile_shows_how_far_off_it_was(run: Run, tmp_path: Path) -> None:
    ratios = {"measured_s": 1e-3, "latency": 1.25, "baseline": 1.0, "speedup": 0.8}
    case = CheckedCase(module="stack", batch=1, protocol="loop", **ratios)
    check = SelfCheck(cases=[case], disturbed=0.75)
    profile = hardware(GPU).model_copy(update={"self_check": check})
    file = str(profile.save(tmp_path / "own.yaml"))
    shown = run("profiles", file).out
    assert "stack" in shown
    assert "25.0%" in shown
    assert "75% of the timings were disturbed" in shown
    found = parsed(run("profiles", file, "--json"))["profile"]["self_check"]
    assert found["latency"]["worst"] == found["speedup"]["worst"] == 0.25
    assert found["cases"][0]["module"] == "stack"


def test_times_are_counted_in_every_row() -> None:
    assert count([0.1, 0.2]) == 2
    assert count([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]]) == 6


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["profiles", "nvidia-h100"], ["nvidia-h100-sxm"]),
        (["profiles", "this-machine"], ["condsim calibrate"]),
        (["calibrate", "--threads", "0"], ["threads must be at least 1, got 0"]),
        (["calibrate", "--like", "nvidia-l40s"], ["--device cuda"]),
        (["calibrate", "--device", "warp"], ["no device 'warp'"]),
        (["calibrate", "--device", "cuda", "--compiled"], ["--device cpu"]),
        (["calibrate", "--device", "cuda", "--dtype", "bf16"], ["--device cpu"]),
    ],
)
def test_bad_input(run: Run, arguments: list[str], words: list[str]) -> None:
    check_refused(run(*arguments), *words)
