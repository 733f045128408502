"""`condsim speculate` as a user types it."""

from __future__ import annotations

from cli.harness import Run, check_refused, parsed

ONE = ("speculate", "exit-bytes", "--device", "raspberry-pi-5")


def test_answers(run: Run) -> None:
    done = run(*ONE, "--drafts", "1", "4", "--exit", "exit0")
    assert done.code == 0, done.err
    assert "drafting" in done.out
    assert "exit0" in done.out
    data = parsed(run(*ONE, "--drafts", "2", "--json"))
    assert [row["drafts"] for row in data["rows"]] == [2, 2, 2]
    assert data["rows"][0]["speedup"] > 0


def test_bad_input_is_one_line(run: Run) -> None:
    check_refused(run(*ONE, "--drafts", "0"), "drafts must be at least 1")
    check_refused(run(*ONE, "--exit", "exit7"), "exit0")
    check_refused(run("speculate", "exit-fashion", "--device", "raspberry-pi-5"), "token_exit")
