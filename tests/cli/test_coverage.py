"""`condsim coverage` as a user types it."""

from __future__ import annotations

import pytest

from cli.harness import Run, check_refused, parsed

QUICK = ("coverage", "exit-fashion", "--device", "raspberry-pi-5")


def test_says_what_was_seen_and_which_inputs_would_do(run: Run) -> None:
    done = run(*QUICK, "--test-set", "paths", "--of", "exit-fashion")
    assert done.code == 0, done.err
    assert "4 of 2,048 images show all 4 paths (the smallest there is)" in done.out
    assert "worst possible" in done.out
    data = parsed(run(*QUICK, "--test-set", "cost", "--json"))
    assert data["units"] == 2048
    assert data["test_set"]["gap"] == 0
    assert data["costs"]["worst_s"] >= data["costs"]["mean_s"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--of", "moe-bytes"], ["different sites", "exit0"]),
        (["--test-set", "path"], ["test set", "paths"]),
        (["--test-set", "sets"], ["has no sets"]),
        (["--batch", "4"], ["one at a time"]),
        (["--context", "4"], ["models of the catalogue"]),
        (["--strategy", "all"], ["one of each"]),
    ],
)
def test_bad_input_is_one_line(run: Run, arguments: list[str], words: list[str]) -> None:
    check_refused(run(*QUICK, *arguments), *words)


def test_a_model_by_name_was_not_captured(run: Run) -> None:
    refused = run("coverage", "mixtral-8x7b")
    check_refused(refused, "mixtral-8x7b", "drawn", "captured")
