"""`condsim frontier` and `condsim noise` as a user types them."""

from __future__ import annotations

from pathlib import Path

import pytest

import condsim
from cli.harness import Run, check_refused, parsed
from condsim.resources import resource

ONE = ("frontier", "exit-fashion", "--device", "raspberry-pi-5")


def test_answers_and_draws(run: Run, tmp_path: Path) -> None:
    plot = tmp_path / "frontier.svg"
    done = run(*ONE, "--plot", str(plot))
    assert done.code == 0, done.err
    assert "30% faster at equal accuracy" in done.out
    assert "threshold 0.73 (as captured)" in done.out
    assert "dense-2-of-4-stages" in done.out
    assert plot.read_text().startswith("<?xml")
    data = parsed(run(*ONE, "--target", "1.5", "--json"))
    assert data["answer"].startswith("50% faster")
    assert {row["profile"] for row in data["points"]} == {"raspberry-pi-5"}
    assert data["claims"][0]["reached"] is True


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([*ONE, "--tolerance", "2"], ["tolerance", "got 2"]),
        ([*ONE, "--target", "0"], ["target", "got 0"]),
        ([*ONE, "--batch", "0"], ["batch must be at least 1"]),
        ([*ONE, "--settings", "threshold=0.5"], ["--capture"]),
        ([*ONE, "--capture", "--settings", "threshold"], ["NAME=VALUE"]),
        ([*ONE, "--plot", "figure.txt"], [".svg"]),
        (["frontier", "exit"], ["exit-fashion"]),
        ([*ONE, "--batch", "4096"], ["2048"]),
        (["noise", "exit-fashion", "--device", "all"], ["--device"]),
        (["noise", "exit-fashion", "--inputs", "gaussian=1"], ["--capture"]),
        (["noise", "exit-fashion", "--capture", "--inputs", "gaussian"], ["NAME=VALUE"]),
    ],
)
def test_bad_input_is_one_line(run: Run, arguments: list[str], words: list[str]) -> None:
    check_refused(run(*arguments), *words)


def test_says_what_noise_does(run: Run) -> None:
    asked = ("noise", "exit-fashion", "--device", "raspberry-pi-5")
    done = run(*asked)
    assert done.code == 0, done.err
    assert "occlusion 14" in done.out
    assert "the predicted speedup from" in done.out
    data = parsed(run(*asked, "--json"))
    clean, *noisy = data["inputs"]
    assert clean["inputs"] == "clean"
    assert all(row["quality"] < clean["quality"] for row in noisy)


def test_measured_settings_are_not_replaced_unasked(run: Run, tmp_path: Path) -> None:
    """Before anything runs: the trace names no model that could."""
    trace = condsim.load(resource("traces") / "exit-fashion")
    folder = trace.save(tmp_path / "t")
    for command, kept, option in (
        ("frontier", "settings", "--settings"),
        ("noise", "noise", "--inputs"),
    ):
        trace.save(folder / kept / "x=0.5")
        asked = (command, str(folder), "--device", "raspberry-pi-5", "--capture", option, "x=0.5")
        check_refused(run(*asked), "measurements that would be lost", "--force")
        check_refused(run(*asked, "--force"), "setting 'x'")
        assert len(condsim.load(folder / kept / "x=0.5").measurements)
