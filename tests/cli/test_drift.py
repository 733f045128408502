"""`condsim drift` as a user types it."""

from __future__ import annotations

import pytest

from cli.harness import Run, check_refused, parsed

SAME = ("drift", "exit-fashion", "exit-fashion", "--device", "raspberry-pi-5", "--strategy", "wait")


def test_says_what_moved(run: Run) -> None:
    done = run(*SAME, "--again", "exit-fashion", "--false-alarm-every", "20", "--window", "512")
    assert done.code == 0, done.err
    assert done.out.startswith("No drift beyond chance: 0.0% moved")
    assert "wait stays the fastest strategy" in done.out
    assert "stream: " in done.out
    data = parsed(run(*SAME, "--json"))
    assert data["drifted"] is False
    assert data["seconds"][0]["change"] == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["drift", "exit-fashion", "moe-bytes"], ["different sites", "exit0"]),
        ([*SAME, "--level", "2"], ["between 0 and 1"]),
        ([*SAME, "--window", "4"], ["--false-alarm-every"]),
        ([*SAME, "--false-alarm-every", "1"], ["false_alarm_every", "from 2 to"]),
        ([*SAME, "--false-alarm-every", "20", "--window", "9999"], ["2,048"]),
        (["drift", "exit-fashion", "exit"], ["exit-fashion"]),
    ],
)
def test_bad_input_is_one_line(run: Run, arguments: list[str], words: list[str]) -> None:
    check_refused(run(*arguments), *words)
