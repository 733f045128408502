"""Predicted beside measured by segment: parts that add up, and errors that cancel."""

from __future__ import annotations

import math
from dataclasses import replace

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import condsim
from condsim.errors import CondsimError
from condsim.resources import resource
from condsim.study.parts import COLUMNS_AFTER, COLUMNS_BEFORE, cancelled, compare_parts
from condsim.trace import SEGMENTS, Trace

TIMES = st.lists(st.tuples(st.floats(0.1, 10), st.floats(0.1, 10)), min_size=1, max_size=10)


@pytest.fixture(scope="module")
def trace() -> Trace:
    """A trace with measured segments: every operator of its prediction takes a millisecond."""
    shipped = condsim.load(resource("traces") / "skip-fashion")
    prediction = condsim.simulate(shipped, batch=32)
    parts = prediction.segments[["side", "segment", "operator"]].drop_duplicates()
    measured = shipped.measurements.iloc[0].to_dict()
    case = {column: measured[column] for column in SEGMENTS if column in measured}
    case |= {"strategy": prediction.strategy, "batch": 32, "phase": prediction.phase}
    case |= {"baseline": "same-params", "protocol": "stream", "step": 0, "process": 0}
    times = {"calls": 1.0, "seconds": 1e-3, "profiler_s": 1e-3, "whole_s": 0.5, "quiet": True}
    rows = parts.assign(**case, **times)
    return replace(shipped, segments=rows)


@pytest.mark.parametrize("by", ["segment", "operator"])
def test_predicted_parts_add_up_to_the_latency(trace: Trace, by: str) -> None:
    table = compare_parts([trace], None, by)
    assert list(table.columns) == [*COLUMNS_BEFORE, by, *COLUMNS_AFTER]
    prediction = condsim.simulate(trace, batch=32, steps=[0])
    sides = table.groupby("side")["predicted_s"].sum()
    assert sides["conditional"] == pytest.approx(prediction.latency_s)
    assert sides["baseline"] == pytest.approx(prediction.baseline_s)


@pytest.mark.parametrize("by", ["segment", "operator"])
def test_measured_parts_add_up_to_the_side(trace: Trace, by: str) -> None:
    table = compare_parts([trace], None, by)
    measured_s = table.groupby("side")["measured_s"].sum()
    for side, rows in trace.segments.groupby("side"):
        assert measured_s[side] == pytest.approx(rows["seconds"].sum())
    for share in table.groupby("side")["share"].sum():
        assert share == pytest.approx(1.0)
    assert (table["whole_s"] == 0.5).all()
    assert not table["noisy"].any()


@pytest.mark.parametrize("seconds", [None, 0.0])
def test_a_side_without_time_is_refused(trace: Trace, seconds: float | None) -> None:
    """Its parts would have no share of it."""
    segments = trace.segments
    dense = segments["side"] == "baseline"
    if seconds is None:
        segments = segments[~dense]
    else:
        segments = segments.assign(seconds=segments["seconds"].mask(dense, seconds))
    with pytest.raises(CondsimError, match="no time of its baseline side"):
        compare_parts([replace(trace, segments=segments)], None, "segment")


def test_nothing_measured_is_an_empty_table() -> None:
    trace = condsim.load(resource("traces") / "branch-fashion")
    if trace.segments.empty:
        table = compare_parts([trace], None, "segment")
        assert list(table.columns) == [*COLUMNS_BEFORE, "segment", *COLUMNS_AFTER]
        assert table.empty


def side(times: list[tuple[float, float]]) -> pd.DataFrame:
    """Parts of one side. times: predicted and measured seconds of each."""
    table = pd.DataFrame(times, columns=["predicted_s", "measured_s"])
    case = {"trace": "a", "strategy": "b", "batch": 1, "phase": "prefill", "baseline": "c"}
    return table.assign(**case, side="conditional")


@given(TIMES)
def test_errors_of_parts_are_no_smaller_than_that_of_their_sum(
    times: list[tuple[float, float]],
) -> None:
    summary = cancelled(side(times))
    assert summary["sides"] == 1
    assert summary["median_abs_error"] <= summary["median_sum_of_abs_errors"] + 1e-12


def test_opposite_errors_cancel_in_the_sum_only() -> None:
    summary = cancelled(side([(2.0, 1.0), (1.0, 2.0)]))
    assert summary["median_abs_error"] == 0.0
    assert math.isclose(summary["median_sum_of_abs_errors"], 2 / 3)
