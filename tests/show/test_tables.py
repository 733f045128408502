"""Rich tables: a row for each result, and nothing cut."""

from __future__ import annotations

import io
from typing import Any

import pandas as pd
import pytest
from rich.console import Console

import condsim
from condsim.resources import resource
from condsim.show.tables import comparison_table, prediction_lines, predictions_table
from condsim.study.answer import answer
from condsim.study.compare import compare
from condsim.trace import Trace


@pytest.fixture(scope="module")
def trace() -> Trace:
    return condsim.load(resource("traces") / "skip-fashion")


@pytest.fixture(scope="module")
def compared(trace: Trace) -> pd.DataFrame:
    return compare(trace)


def printed(*renderables: Any) -> list[str]:
    """What a wide terminal without colours shows."""
    console = Console(file=io.StringIO(), width=300, color_system=None)
    for renderable in renderables:
        console.print(renderable)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]
    return text.splitlines()


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


def test_a_comparison_is_a_row_a_case(compared: pd.DataFrame) -> None:
    lines = printed(comparison_table(compared))
    assert len(lines) == 1 + len(compared)


@pytest.mark.parametrize(
    ("changed", "remark"),
    [
        ({"same_machine": False, "noisy": True}, "another machine"),
        ({"same_machine": True, "noisy": True}, "noisy machine"),
    ],
)
def test_what_cannot_be_trusted_is_remarked(
    compared: pd.DataFrame, changed: dict[str, bool], remark: str
) -> None:
    _, *rows = printed(comparison_table(compared.assign(**changed)))
    assert all(row.rstrip().endswith(remark) for row in rows)


@pytest.mark.parametrize(
    ("error", "style"), [(0.05, "green"), (-0.2, "yellow"), (0.5, "red"), (-0.5, "red")]
)
def test_an_error_has_the_colour_of_its_size(
    compared: pd.DataFrame, error: float, style: str
) -> None:
    table = comparison_table(compared.iloc[:1].assign(error=error, same_machine=True))
    (cell,) = table.columns[10].cells
    assert cell.style == style  # type: ignore[union-attr]


def test_what_cannot_be_predicted_has_its_reason() -> None:
    row = {"class": "gpu", "profile": "a", "strategy": "looped", "error": "it has no [looped]"}
    lines = printed(predictions_table("mine", [row]))
    assert "it has no [looped]" in lines[-1]
