"""What a model decided: counts that add up, and shares between 0 and 1."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import condsim
from condsim.errors import CondsimError
from condsim.mechanisms import MECHANISMS
from condsim.resources import resource
from condsim.steps.rebatch import rebatch
from condsim.study.routing import ANY_LAG, LAGS, alike, load, powers, touched
from condsim.trace import Trace

NAMES = ("branch-fashion", "exit-fashion", "moe-bytes", "skip-fashion", "sparse-bytes")


@pytest.fixture(scope="module", params=NAMES)
def trace(request: pytest.FixtureRequest) -> Trace:
    return condsim.load(resource("traces") / request.param)


@given(st.integers(1, 10**6))
def test_powers_double_up_to_the_largest(most: int) -> None:
    values = powers(most)
    assert values == [2**exponent for exponent in range(len(values))]
    assert values[-1] <= most < 2 * values[-1]


def test_there_is_a_power_in_any_case() -> None:
    assert powers(0) == [1]


def test_load_is_a_row_a_branch(trace: Trace) -> None:
    table = load(trace)
    assert len(table) == sum(site.branches for site in trace.sites)
    for site in trace.sites:
        rows = table[table["site"] == site.name]
        assert rows["rows"].tolist() == trace.unit_counts(site.name).sum(0).tolist()
        assert rows["relative"].mean() == pytest.approx(1.0)
        assert rows["share"].between(0.0, 1.0).all()


def test_shares_add_up_to_the_branches_that_a_row_takes(trace: Trace) -> None:
    table = load(trace)
    for site in trace.sites:
        if MECHANISMS[site.mechanism].selects_blocks:
            continue
        shares = table.loc[table["site"] == site.name, "share"]
        assert shares.sum() == pytest.approx(site.top_k or 1)


def test_larger_batches_touch_at_least_as_many_branches(trace: Trace) -> None:
    table = touched(trace, [1, 4, 16])
    assert table["share"].between(0.0, 1.0).all()
    for _, rows in table.groupby("site"):
        assert rows["touched"].is_monotonic_increasing


def test_batch_sizes_beyond_the_trace_are_left_out(trace: Trace) -> None:
    assert touched(trace, [1, 10**7])["batch"].unique().tolist() == [1]
    with pytest.raises(CondsimError, match="10000000"):
        touched(trace, [10**7])
    with pytest.raises(CondsimError, match="batch size"):
        touched(trace, [])


def test_steps_are_alike_between_not_at_all_and_fully(trace: Trace) -> None:
    table = alike(trace, batch=4)
    assert table["alike"].between(0.0, 1.0 + 1e-12).all()
    steps = len(rebatch(trace, 4).first_unit)
    lags = [lag for lag in LAGS if lag < steps]
    for _, rows in table.groupby("site"):
        assert rows["lag"].tolist() == [ANY_LAG, *lags]


def test_one_step_is_alike_itself(trace: Trace) -> None:
    phase = trace.steps["phase"].iloc[0]
    sizes = trace.steps[trace.steps["phase"] == phase].groupby(["seq", "past"])["units"].sum()
    if len(sizes) == 1:
        table = alike(trace, batch=int(sizes.iloc[0]))
        assert np.allclose(table["alike"], 1.0)
