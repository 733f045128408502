"""Predicted beside measured: a row a measured case, and statistics of the errors that count."""

from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import condsim
from condsim.errors import CondsimError
from condsim.resources import resource
from condsim.study.cases import CASE, Case, measured_cases
from condsim.study.compare import COLUMNS, cause_of, compare, errors_by, errors_of
from condsim.trace import Trace

GPU = "nvidia-h100-sxm"
ERRORS = st.lists(st.floats(-0.9, 5.0), min_size=1, max_size=30)
ROW = {
    "predicted_latency_s": 1.0,
    "measured_latency_s": 1.0,
    "predicted_baseline_s": 2.0,
    "measured_baseline_s": 2.0,
    "measured_speedup": 2.0,
    "measured_low": 2.0,
    "measured_high": 2.0,
    "low": 3.0,
    "high": 4.0,
    "noisy": False,
}


@pytest.fixture(scope="module")
def trace() -> Trace:
    return condsim.load(resource("traces") / "skip-fashion")


@pytest.fixture(scope="module")
def table(trace: Trace) -> pd.DataFrame:
    return compare(trace)


def test_a_row_a_measured_case(trace: Trace, table: pd.DataFrame) -> None:
    assert list(table.columns) == COLUMNS
    assert len(table) == len(trace.measurements[CASE].drop_duplicates())
    assert table["pairs"].sum() <= len(trace.measurements)


def test_the_error_is_of_the_speedup(table: pd.DataFrame) -> None:
    quotient = table["predicted_speedup"] / table["measured_speedup"]
    assert table["error"].to_numpy() == pytest.approx((quotient - 1).to_numpy())


def test_intervals_hold_what_they_are_of(table: pd.DataFrame) -> None:
    assert (table["measured_low"] <= table["measured_speedup"]).all()
    assert (table["measured_speedup"] <= table["measured_high"]).all()
    assert (table["low"] <= table["high"]).all()


def test_another_profile_is_another_machine(trace: Trace) -> None:
    assert not compare(trace, GPU)["same_machine"].any()


def test_folders_and_traces_give_the_same(trace: Trace, table: pd.DataFrame) -> None:
    from_folder = compare([resource("traces") / "skip-fashion"])
    pd.testing.assert_frame_equal(from_folder, table)


def test_nothing_measured_is_an_empty_table(trace: Trace) -> None:
    from dataclasses import replace

    empty = replace(trace, measurements=trace.measurements.iloc[:0])
    assert list(compare(empty).columns) == COLUMNS
    assert compare(empty).empty


def test_an_unknown_part_is_refused(trace: Trace) -> None:
    with pytest.raises(CondsimError, match="unknown by 'layer'"):
        compare(trace, by="layer")


def test_cases_divide_the_measurements(trace: Trace) -> None:
    cases = list(measured_cases(trace.measurements))
    assert sum(len(rows) for _, rows in cases) == len(trace.measurements)
    for case, rows in cases:
        assert isinstance(case, Case)
        assert set(rows["strategy"]) == {case.strategy}
        assert case.measured_on(trace.profile)


@given(ERRORS)
def test_statistics_are_in_order(errors: list[float]) -> None:
    table = pd.DataFrame({"error": errors, "same_machine": True})
    summary = errors_of(table)
    assert summary["rows"] == summary["rows_same_machine"] == len(errors)
    assert 0 <= summary["median_abs_error"] <= summary["p90_abs_error"] + 1e-12
    assert summary["p90_abs_error"] <= summary["worst_abs_error"] + 1e-12
    assert summary["worst_abs_error"] == max(abs(error) for error in errors)


@given(ERRORS)
def test_other_machines_have_no_error_that_counts(errors: list[float]) -> None:
    table = pd.DataFrame({"error": errors, "same_machine": False})
    assert errors_of(table) == {
        "rows": len(errors),
        "rows_same_machine": 0,
        "median_abs_error": None,
        "p90_abs_error": None,
        "worst_abs_error": None,
    }
    assert errors_by(table.assign(strategy="a"), "strategy").empty


def test_statistics_a_strategy() -> None:
    rows = [("b", -0.2), ("a", 0.1), ("a", 0.3)]
    table = pd.DataFrame(rows, columns=["strategy", "error"]).assign(same_machine=True)
    errors = errors_by(table, "strategy")
    assert errors["strategy"].tolist() == ["a", "b"]
    assert errors["cases"].tolist() == [2, 1]
    assert errors["bias"].tolist() == pytest.approx([0.2, -0.2])
    assert errors["worst_abs_error"].tolist() == pytest.approx([0.3, 0.2])


@pytest.mark.parametrize(
    ("changed", "cause"),
    [
        ({}, ""),
        ({"predicted_latency_s": 1.2}, "conditional side 20% too slow"),
        ({"predicted_baseline_s": 1.0}, "dense side 50% too fast"),
        (
            {"predicted_latency_s": 1.2, "predicted_baseline_s": 1.0},
            "dense side 50% too fast; conditional side 20% too slow",
        ),
        ({"noisy": True}, "measured on a noisy machine"),
        ({"measured_high": 2.2}, "processes differ by 10%"),
        ({"low": 1.0}, "inside the 90 % interval"),
    ],
)
def test_causes(changed: dict[str, float], cause: str) -> None:
    assert cause_of(ROW | changed) == cause
