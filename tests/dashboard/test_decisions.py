"""Pages of advice, sweeps, coverage and drift, without a browser: they say what the library
says."""

from __future__ import annotations

import io
from dataclasses import replace

import pandas as pd
import pytest

import condsim
from condsim.dashboard import advise as advice_page
from condsim.dashboard import coverage as coverage_page
from condsim.dashboard import drift as drift_page
from condsim.dashboard import frontier as frontier_page
from condsim.dashboard import sweep as sweep_page
from condsim.dashboard.parts.figure import Figure
from condsim.dashboard.parts.scenario import Scenario
from condsim.decide.advise.call import call
from condsim.decide.advise.changes import changes
from condsim.decide.advise.load import LOADS
from condsim.decide.drift.halves import halves
from condsim.decide.subject import TraceSubject
from condsim.decide.sweep.table import read_bytes
from condsim.errors import CondsimError
from condsim.hardware import hardware
from condsim.show.advice import changes_in_words
from condsim.study.answer import Answer
from condsim.trace import Trace


def check(figure: Figure) -> None:
    """A figure is valid, in the browser and in a file."""
    figure.chart.to_dict()
    assert figure.draw().axes


def test_advice_shows_what_the_library_says(captured: Answer, scenario: Scenario) -> None:
    check(advice_page.effects_of(captured.prediction))
    assert "badge[Pays]" in advice_page.headline(call(captured))
    recipe = advice_page.recipe(advice_page.Asked(scenario, scenario))
    assert recipe.command == "condsim advise exit-fashion"
    assert recipe.python.endswith("advice = condsim.advise(trace)\nprint(advice.says)")


def test_advice_under_a_load_says_what_the_command_line_says(scenario: Scenario) -> None:
    edge = LOADS["edge"]
    asked = advice_page.Asked(scenario, replace(scenario, batch=1), edge, 1.2)
    recipe = advice_page.recipe(asked)
    assert recipe.command == "condsim advise exit-fashion --scenario edge --pays-from 1.2"
    assert "condsim.advise(trace, scenario='edge', pays_from=1.2)" in recipe.python
    assert (asked.threshold, asked.batch_is_free) == (1.2, False)


def test_changes_are_told_in_words(trace: Trace) -> None:
    subject = TraceSubject(trace)
    profile = hardware("raspberry-pi-5")
    table = changes(subject, profile, {}, condsim.simulate(trace, profile))
    simulated = table[table["error"].isna()]
    words = changes_in_words(simulated)
    assert list(words.columns[:2]) == ["change", "to"]
    assert set(words["it says"]) <= {"pays", "does not pay", "too close to call"}
    assert "why not" not in words.columns
    failed = table.assign(error="no such thing")
    assert set(changes_in_words(failed)["why not"]) == {"no such thing"}
    assert set(changes_in_words(failed)["speedup"]) == {""}


def test_a_sweep_is_drawn_along_its_numbers(trace: Trace, tmp_path: object) -> None:
    over = sweep_page.over_of("batch=1:4:log2 strategy=wait,masked")
    table = condsim.sweep(trace, over, "raspberry-pi-5")
    assert sweep_page.axis_of(table, "strategy=wait,masked batch=1:4:log2") == "batch"
    assert sweep_page.lines_by(table, "batch") == "strategy"
    check(sweep_page.figure_of(table, "batch=1:4:log2"))
    with_a_point = condsim.sweep(trace, {"memory.dram.bandwidth": [0.5, 2]}, "raspberry-pi-5")
    check(sweep_page.figure_of(with_a_point, "memory.dram.bandwidth=0.5,2"))
    with pytest.raises(CondsimError, match="batch twice"):
        sweep_page.over_of("batch=1 batch=2")


def test_a_dropped_file_that_is_no_sweep_is_refused() -> None:
    file = io.BytesIO()
    pd.DataFrame({"a": [1]}).to_parquet(file)
    with pytest.raises(CondsimError, match="no table of a sweep"):
        read_bytes(file, "a.parquet")
    with pytest.raises(CondsimError):
        read_bytes(io.BytesIO(b"nothing"), "a.parquet")


def test_coverage_shows_what_the_library_says(trace: Trace, scenario: Scenario) -> None:
    seen = condsim.coverage(trace, "raspberry-pi-5", most_priced=8)
    check(coverage_page.unseen_of(seen))
    assert "0.0% of what a new image does" in coverage_page.headline(seen)
    recipe = coverage_page.recipe(scenario, coverage_page.NONE)
    assert recipe.command == "condsim coverage exit-fashion"


def test_drift_of_halves_is_of_all_sequences(trace: Trace, scenario: Scenario) -> None:
    first, second = halves(trace)
    assert first.units + second.units == trace.units
    site = trace.sites[0].name
    joined = [*first.decisions(site).ids, *second.decisions(site).ids]
    assert joined == trace.decisions(site).ids.tolist()
    found = condsim.drift(first, second, "raspberry-pi-5", strategy="wait")
    check(drift_page.sites_of(found))
    recipe = drift_page.recipe(scenario, drift_page.OWN_HALVES)
    assert "condsim.drift(*halves(trace))" in recipe.python


def test_a_frontier_is_drawn_and_told_apart_by_its_target(scenario: Scenario) -> None:
    found = condsim.frontier("exit-fashion", "raspberry-pi-5")
    check(frontier_page.figure_of(found))
    recipe = frontier_page.recipe(scenario, "1.5", "0.01")
    assert recipe.command == "condsim frontier exit-fashion --target 1.5 --tolerance 0.01"
    assert "condsim.frontier('exit-fashion', target=1.5, tolerance=0.01)" in recipe.python
