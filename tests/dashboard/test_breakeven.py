"""The break-even page, without a browser."""

from __future__ import annotations

import ast
from dataclasses import replace

import pandas as pd
import pytest

from condsim.dashboard import breakeven as page
from condsim.dashboard.breakeven import NOTHING, Axes
from condsim.dashboard.parts.scenario import Scenario
from condsim.errors import CondsimError
from condsim.show.escape import markdown
from condsim.study.breakeven import BATCH, SHARE, SKEW
from condsim.trace import Trace

LINE = Axes(BATCH, (1.0, 4.0))
MAP = Axes(BATCH, (1.0, 4.0), SHARE, (0.1, 0.9))


def points_of(axes: Axes, *speedups: float) -> pd.DataFrame:
    """Points of a grid, row by row, with narrow intervals."""
    ys = axes.ys or (None,)
    places = [(x, y) for y in ys for x in axes.xs]
    table = pd.DataFrame(places, columns=["x", "y"]).assign(speedup=speedups)
    verdicts = ["faster" if speedup > 1 else "slower" for speedup in speedups]
    table = table.assign(latency_s=1 / table["speedup"], baseline_s=1.0, verdict=verdicts)
    return table.assign(low=table["speedup"] * 0.99, high=table["speedup"] * 1.01)


def test_values_are_read_as_a_user_writes_them() -> None:
    assert page.values("4, 1;2,,", [9.0]) == [1.0, 2.0, 4.0]
    assert page.values("  ", [9.0]) == [9.0]
    assert page.values(None, [9.0]) == [9.0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1, two", "write for example 1, 2"),
        ("nan", "1 to 40 finite numbers"),
        ("1e16", "1 to 40 finite numbers"),
        (",", "1 to 40 finite numbers"),
        (",".join(map(str, range(41))), "1 to 40 finite numbers"),
    ],
)
def test_what_is_not_a_list_of_numbers_is_refused(text: str, said: str) -> None:
    with pytest.raises(CondsimError, match=said):
        page.values(text, [1.0, 2.0])


def test_half_a_unit_is_refused() -> None:
    assert page.axis_values(SHARE, "0.5", [1.0]) == [0.5]
    with pytest.raises(CondsimError, match=r"whole number of units, got 1\.5"):
        page.axis_values(BATCH, "1, 1.5", [1.0])


def test_the_second_axis_is_at_first_what_the_routing_is_varied_by() -> None:
    others = [NOTHING, SKEW, SHARE]
    assert page.usual_y([BATCH, SKEW, SHARE], others) == SHARE
    assert page.usual_y([BATCH, SKEW], [NOTHING, SKEW]) == SKEW
    assert page.usual_y([BATCH, SKEW, SHARE], [NOTHING, BATCH, SKEW]) == NOTHING
    assert page.usual_y([BATCH], [NOTHING]) == NOTHING


def test_axes_count_their_points_and_have_titles() -> None:
    assert (LINE.points, MAP.points) == (2, 4)
    assert LINE.titles == ("batch", None)
    assert MAP.titles == ("batch", "share of rows or blocks that run")
    assert page.title(NOTHING) == "nothing"
    assert page.title("host.dispatch") == "host.dispatch, times what it is"


def test_what_varies_is_not_given_as_an_option(scenario: Scenario) -> None:
    asked = replace(scenario, batch=4, dtype="fp32")
    options = page.options_of(asked, LINE)
    assert options == {"strategy": None, "baseline": "same-params", "dtype": "fp32"}
    assert page.options_of(asked, Axes(SHARE, (0.1,)))["batch"] == 4


def test_the_headline_speaks_of_the_axes_that_vary() -> None:
    points = points_of(LINE, 0.5, 2.0)
    said = markdown("By batch: it does not pay at 1, pays at 4.")
    assert page.headline(points, LINE) == f"#### {said}"
    dead = page.headline(points_of(LINE, 2.0, 2.0), LINE)
    assert dead.startswith("#### batch has no effect here")


def test_points_that_are_too_close_and_dead_axes_are_said(trace: Trace) -> None:
    points = points_of(LINE, 2.0, 3.0).assign(verdict=["faster", page.UNSURE])
    assert page.caption(points, LINE, trace.profile).startswith("1 of 2 points are too close")
    half = page.caption(points_of(MAP, 2.0, 3.0, 2.0, 3.0), MAP, trace.profile)
    assert "share of rows or blocks that run has no effect here" in half


def test_the_caption_says_what_is_hypothetical(trace: Trace) -> None:
    points = points_of(LINE, 2.0, 3.0)
    assert "drawn anew" not in page.caption(points, LINE, trace.profile)
    assert "drawn anew" in page.caption(points, MAP, trace.profile)
    assert "counts as estimated" in page.caption(points, Axes("host.view", (1.0,)), trace.profile)


def test_both_figures_are_valid() -> None:
    for figure in (
        page.figure_of(points_of(LINE, 0.5, 2.0), LINE),
        page.figure_of(points_of(MAP, 0.5, 1.0, 2.0, 4.0), MAP),
    ):
        figure.chart.to_dict()
        assert figure.draw().axes


def test_only_batches_have_a_command_line(scenario: Scenario) -> None:
    asked = replace(scenario, strategy="wait", batch=8)
    line = "for batch in 1 4; do condsim simulate exit-fashion --strategy wait --batch $batch; done"
    assert page.command(asked, LINE) == line
    assert page.command(scenario, MAP) == f"condsim simulate exit-fashion  {page.ONE_SCENARIO}"


def test_the_code_asks_for_the_same_points(scenario: Scenario) -> None:
    code = page.code(scenario, MAP)
    ast.parse(code)
    call = "grid(trace, None, 'batch', [1.0, 4.0], 'share', [0.1, 0.9], baseline='same-params')"
    assert call in code


def test_a_reason_for_missing_points_is_said_once() -> None:
    results = [{"error": "too large"}, {"speedup": 1.0}, {"error": "too large"}]
    assert page.problems(results) == ["too large"]
