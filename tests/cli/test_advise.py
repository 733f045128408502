"""`condsim advise` as a user types it."""

from __future__ import annotations

import pytest

from cli.harness import Run, check_refused, parsed

QUICK = ("advise", "exit-fashion", "--device", "raspberry-pi-5")


def test_says_a_verdict_and_its_evidence(run: Run) -> None:
    done = run(*QUICK, "--scenario", "server")
    assert done.code == 0, done.err
    for title in ("WHY", "BIGGEST", "FLIPS", "BASIS", "NOT SEEN", "VERIFY"):
        assert title in done.out
    data = parsed(run(*QUICK, "--scenario", "server", "--json"))
    assert data["says"].capitalize() in done.out
    assert data["answer"]["batch"] == 32
    assert data["interval"] == data["answer"]["speedup_interval"]


@pytest.mark.parametrize("told", [("--pays-from", "1.1"), ()])
def test_the_threshold_of_exits_is_not_that_of_the_verdict(run: Run, told: tuple[str, str]) -> None:
    done = run(*QUICK, "--threshold", "0.5", *told, "--json")
    assert done.code == 0, done.err
    advice = parsed(done)
    simulated = parsed(run("simulate", *QUICK[1:], "--threshold", "0.5", "--json"))
    assert advice["answer"]["speedup"] == simulated["speedup"]
    assert advice["threshold"] == (1.1 if told else 1.0)


@pytest.mark.parametrize(("least", "code"), [("1.01", 0), ("9", 1)])
def test_what_is_required_decides_the_exit_code(run: Run, least: str, code: int) -> None:
    done = run(*QUICK, "--require", f"speedup={least}")
    assert done.code == code, done.err
    assert ("not met" in done.err) == bool(code)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["advise", "exit-fashion", "--require", "speed=2"], ["speedup=1.2"]),
        (["advise", "exit-fashion", "--require", "speedup=-1"], ["speedup=1.2"]),
        (["advise", "exit-fashion", "--scenario", "serve"], ["did you mean 'server'"]),
        (["advise", "exit-fashion", "--device", "all"], ["one of each"]),
        (["advise", "exit-fashion", "--pays-from", "0"], ["above 0"]),
        (["advise", "exit-fashion", "--context", "64"], ["context is for models"]),
        (["advise", "olmoe-1b-7b"], ["name the device"]),
        (["advise", "llama-3.1-8b", "--device", "nvidia-h100-sxm"], ["is dense"]),
        (["advise", "exit"], ["exit-fashion"]),
    ],
)
def test_bad_input_is_one_line(run: Run, arguments: list[str], words: list[str]) -> None:
    check_refused(run(*arguments), *words)
