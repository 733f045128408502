"""The accuracy page, without a browser."""

from __future__ import annotations

import ast

import pytest

import condsim
from condsim.dashboard import accuracy as page
from condsim.dashboard.accuracy import Cases
from condsim.resources import resource


@pytest.fixture(scope="module")
def cases() -> Cases:
    """What was measured of one trace."""
    return page.cases_of_traces(["exit-fashion"])


def test_the_cases_of_a_trace_are_those_of_the_library(cases: Cases) -> None:
    trace = condsim.load(resource("traces") / "exit-fashion")
    assert cases.table.equals(condsim.compare([trace]))
    assert cases.command == "condsim compare exit-fashion"
    assert "condsim.compare([trace])" in cases.python
    ast.parse(cases.python)


def test_runs_of_the_suite_are_read_from_the_repository() -> None:
    runs = page.runs_of_make_accuracy()
    assert runs == sorted(runs, reverse=True)
    assert all(page.NAME_OF_A_RUN.fullmatch(run.parent.name) for run in runs)
    cases = page.cases_of_a_run(runs[0])
    assert len(cases.table)
    assert f"benchmarks/runs/{runs[0].parent.name}" in cases.command
    ast.parse(cases.python)


@pytest.mark.parametrize("name", ["2026-11-28-bf16", "2026-11-28-two-threads-b", "notes"])
def test_runs_in_other_settings_are_left_out(name: str) -> None:
    assert not page.NAME_OF_A_RUN.fullmatch(name)


def test_the_worst_cases_come_first_with_their_causes(cases: Cases) -> None:
    worst = page.worst_cases(cases.table)
    errors = worst["error"].abs()
    assert errors.is_monotonic_decreasing
    assert errors.iloc[0] == cases.table["error"].abs().max()
    assert len(worst) == min(page.WORST, len(cases.table))
    assert "trace" not in worst, "all are of one trace"
    assert worst["cause"].str.len().gt(0).all()


def test_the_headline_begins_with_a_capital(cases: Cases) -> None:
    headline = page.headline(cases.table)
    assert headline.startswith("#### ")
    assert headline[5].isupper()


def test_whose_accuracy_it_is_stands_in_the_headline(cases: Cases) -> None:
    trace = condsim.load(resource("traces") / "exit-fashion")
    assert f"On {trace.profile.name}" in page.headline(cases.table)
    assert page.note_on_device(cases.table, trace.profile) == ""
    note = page.note_on_device(cases.table, condsim.hardware("nvidia-h100-sxm"))
    assert "Nothing was measured on nvidia-h100-sxm" in note
    assert "estimated" in note


@pytest.mark.parametrize("by", page.BY)
def test_both_figures_are_valid(cases: Cases, by: str) -> None:
    for figure in (page.scatter_of(cases.table, by), page.residuals_of(cases.table, by)):
        figure.chart.to_dict()
        assert figure.draw().axes
