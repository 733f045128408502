"""The compare page, without a browser."""

from __future__ import annotations

import ast
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from condsim.dashboard import compare as page
from condsim.dashboard.compare import AS_CAPTURED, Choice, Limits, Order
from condsim.dashboard.parts import library
from condsim.dashboard.parts.fields import AS_MEASURED
from condsim.dashboard.parts.scenario import Scenario

GPU = "nvidia-h100-sxm"
CHOICE = Choice([AS_MEASURED, GPU], [AS_CAPTURED], ["exit-fashion"])


@pytest.fixture(scope="module")
def rows(scenario: Scenario) -> pd.DataFrame:
    """The trace on its own device and on a GPU."""
    scenarios = page.scenarios_of(scenario, CHOICE)
    return page.prepared(list(page.predicted_rows(scenarios)), several_traces=False)


def order(table: pd.DataFrame, rank: str = "speedup", **limits: float) -> Order:
    return Order(rank, Limits(**limits), str(table["name"].iloc[0]))


def test_every_combination_is_a_scenario_in_its_own_dtype(scenario: Scenario) -> None:
    asked = replace(scenario, dtype="bf16", runtime="compiled", batch=4)
    choice = Choice([AS_MEASURED, GPU], [AS_CAPTURED, "wait"], ["exit-fashion", "moe-bytes"])
    scenarios = page.scenarios_of(asked, choice)
    assert len(set(scenarios)) == 8
    assert {s.device for s in scenarios} == {None, GPU}
    assert {s.strategy for s in scenarios} == {None, "wait"}
    assert {(s.dtype, s.runtime, s.batch) for s in scenarios} == {(None, None, 4)}


def test_a_row_that_cannot_be_predicted_says_why(scenario: Scenario) -> None:
    (row,) = page.predicted_rows([replace(scenario, strategy="grouped")])
    assert "strategy 'grouped' is not for early_exit" in row["error"]


def test_rows_are_per_unit_and_named(rows: pd.DataFrame) -> None:
    assert (rows["latency_per_unit_s"] == rows["latency_s"] / rows["batch"]).all()
    assert (rows["low"] <= rows["speedup"]).all()
    assert rows["name"].is_unique
    again = page.prepared(rows.to_dict("records"), several_traces=True)
    assert again["name"].str.endswith(", exit-fashion").all()


@pytest.mark.parametrize("rank", page.RANKS)
def test_the_best_row_is_first(rows: pd.DataFrame, rank: str) -> None:
    ranking = page.ranked(rows, order(rows, rank))
    values = ranking[page.RANKS[rank]]
    assert values.is_monotonic_decreasing if rank == "speedup" else values.is_monotonic_increasing
    assert ranking["front"].any()
    assert page.headline(ranking, rank).startswith(f"#### By {rank}: {ranking['name'].iloc[0]};")


def test_limits_leave_rows_out(rows: pd.DataFrame) -> None:
    fastest_ms = rows["latency_s"].min() * 1e3
    assert len(page.ranked(rows, order(rows, latency_ms=fastest_ms * 1.001))) == 1
    assert page.ranked(rows, order(rows, peak_mb=1e-6)).empty
    assert len(page.ranked(rows, order(rows, latency_ms=0.0))) == len(rows)


def test_rows_that_are_unlike_are_not_divided(rows: pd.DataFrame) -> None:
    unlike = rows.assign(batch=[1, 2], dtype="fp32")
    ranking = page.ranked(unlike, order(unlike))
    shown = page.for_a_person(ranking).set_index("name")
    assert shown.loc[unlike["name"].iloc[0], "against"] == "1.00x as fast, 1.00x the energy"
    assert shown.loc[unlike["name"].iloc[1], "against"].startswith("not comparable: ")
    assert "batch: " in page.differences(ranking)
    assert page.differences(rows.iloc[:1]) == ""


def test_the_figure_is_valid(rows: pd.DataFrame) -> None:
    figure = page.pareto_of(page.ranked(rows, order(rows)))
    figure.chart.to_dict()
    assert figure.draw().axes


def test_the_command_gives_the_rows_that_are_chosen(scenario: Scenario) -> None:
    everything = replace(CHOICE, every_device=True)
    start = "condsim simulate exit-fashion"
    assert page.command(scenario, everything) == f"{start} --device all"
    assert page.command(scenario, replace(everything, every_strategy=True)) == (
        f"{start} --device all --strategy all"
    )
    waiting = replace(scenario, strategy="compacted", batch=4)
    choice = replace(CHOICE, strategies=["wait"])
    assert page.command(waiting, choice).splitlines() == [
        f"{start} --strategy wait --batch 4",
        f"{start} --device {GPU} --strategy wait --batch 4",
    ]
    several = replace(choice, devices=[GPU, "nvidia-b200"])
    assert page.command(waiting, several) == (
        f"for device in {GPU} nvidia-b200;"
        f" do {start} --device $device --strategy wait --batch 4; done"
    )
    models = replace(everything, models=["exit-fashion", "moe-bytes"])
    assert (
        page.command(scenario, models).splitlines()[1] == "condsim simulate moe-bytes --device all"
    )


def test_the_code_gives_the_rows_that_are_chosen(scenario: Scenario, capsys: Any) -> None:
    code = page.code(replace(scenario, batch=4, dtype="bf16"), CHOICE)
    assert f"for n in ['{GPU}']] + [trace.profile]" in code
    assert "predict_all(trace, devices, [None], 'same-params', batch=4)" in code
    exec(code, {})
    assert capsys.readouterr().out.count("'class': ") == 2
    several = page.code(scenario, replace(CHOICE, models=["exit-fashion", "moe-bytes"]))
    ast.parse(several)
    assert "for trace in traces:" in several


def test_strategies_are_those_of_any_device_and_each_row_is_there_once(scenario: Scenario) -> None:
    trace = library.open_trace("exit-fashion")
    named = page.strategies_of_all(trace, [AS_MEASURED, "google-tpu-v4"])
    assert {"compacted", "bucketed"} <= set(named)
    choice = Choice([AS_MEASURED], [AS_CAPTURED, *named], ["exit-fashion"])
    wanted = page.scenarios_of(scenario, choice)
    able = [one for one in wanted if page.has_strategy(one)]
    assert page.left_out([one for one in wanted if one not in able]) == [
        "bucketed of exit-fashion is not for: as-measured."
    ]
    table = page.prepared(list(page.predicted_rows(able)), several_traces=False)
    assert table["name"].is_unique
    assert len(table) == len(able) - 1, "the captured one is there by its name already"
