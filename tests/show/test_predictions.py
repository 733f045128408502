"""Predictions for a terminal: a row for each result, and nothing cut."""

from __future__ import annotations

from show.printed import printed

from condsim.show.predictions import prediction_lines, predictions_table
from condsim.study.answer import answer
from condsim.trace import Trace


def test_a_prediction_and_what_was_measured_of_it(trace: Trace) -> None:
    answered = answer(trace)
    lines = printed(
        *prediction_lines("mine", answered.prediction, answered.speedups, answered.measured, 1.25)
    )
    assert lines[0].startswith("mine · ")
    assert lines[0].endswith("1.2 s")
    starts = [line.split("  ")[0] for line in lines]
    for name in ("speedup", "latency", "energy", "peak memory", "rests on"):
        assert name in starts
    assert sum("measured" in line.split()[-1:] for line in lines) == 2
    assert any("against same-flops" in line for line in lines)


def test_what_cannot_be_predicted_has_its_reason() -> None:
    row = {"class": "gpu", "profile": "a", "strategy": "looped", "error": "it has no [looped]"}
    lines = printed(predictions_table("mine", [row]))
    assert "it has no [looped]" in lines[-1]
