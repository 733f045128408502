"""`condsim methods` as a user types it."""

from __future__ import annotations

from pathlib import Path

from cli.harness import Run, check_refused, parsed


def test_answers(run: Run) -> None:
    done = run("methods")
    assert done.code == 0, done.err
    assert "skip-reinforce" in done.out
    data = parsed(run("methods", "moe-bytes", "--json"))
    assert {row["model"] for row in data["summary"]} == {"moe-bytes"}
    assert {"entropy", "imbalance", "dead"} <= set(data["history"][0])


def test_bad_input_is_one_line(run: Run, tmp_path: Path) -> None:
    check_refused(run("methods", "moe-byts"), "moe-bytes")
    check_refused(run("methods", "--folder", str(tmp_path)), "python -m condsim.decide.methods")
    check_refused(run("methods", "--plot", "a.txt"), ".svg")
