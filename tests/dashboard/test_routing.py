"""The routing page, without a browser."""

from __future__ import annotations

import pandas as pd
import pytest

import condsim
from condsim.dashboard import routing as page
from condsim.dashboard.parts.scenario import Scenario
from condsim.resources import resource
from condsim.study import routing
from condsim.trace import Trace


@pytest.fixture(scope="module")
def experts() -> Trace:
    """A trace of a mixture of experts."""
    return condsim.load(resource("traces") / "moe-bytes")


def test_the_headline_counts_sites_and_branches(trace: Trace, experts: Trace) -> None:
    assert page.headline(trace).startswith(f"#### {len(trace.sites)} sites: early exit, 2 branches")
    assert "mixture of experts, top " in page.headline(experts)


def test_only_sites_that_a_router_balances_are_shown_over_the_mean(
    trace: Trace, experts: Trace
) -> None:
    (of_exits,) = page.parts_of(routing.load(trace))
    (of_experts,) = page.parts_of(routing.load(experts))
    assert of_exits.value == "share"
    assert of_experts.value == "relative"
    mixed = page.parts_of(pd.concat([of_exits.table, of_experts.table]))
    assert [part.value for part in mixed] == ["relative", "share"]


def test_blocks_of_weights_say_how_many_of_them_run(trace: Trace) -> None:
    sparse = condsim.load(resource("traces") / "sparse-bytes")
    (of_blocks,) = page.parts_of(routing.load(sparse))
    share = of_blocks.share_of_blocks()
    assert share is not None
    assert 0 < share < 1
    (of_exits,) = page.parts_of(routing.load(trace))
    assert of_exits.share_of_blocks() is None


def test_branches_have_names_where_all_sites_have_the_same(trace: Trace, experts: Trace) -> None:
    exits, mixture = routing.load(trace), routing.load(experts)
    assert set(page.with_named_branches(exits)["branch"]) == {"0: leaves", "1: goes on"}
    assert page.with_named_branches(mixture) is mixture
    both = pd.concat([exits, mixture])
    assert page.with_named_branches(both) is both


def test_every_figure_is_valid(trace: Trace, experts: Trace) -> None:
    figures = [
        *(part.figure() for part in page.parts_of(routing.load(trace))),
        *(part.figure() for part in page.parts_of(routing.load(experts))),
        page.touched_figure(routing.touched(trace, [1, 4, 16])),
        page.alike_figure(routing.alike(trace)),
    ]
    for figure in figures:
        figure.chart.to_dict()
        assert figure.draw().axes


def test_the_recipe_calls_the_same_function(scenario: Scenario) -> None:
    recipe = page.recipe(scenario, "load(trace)")
    assert recipe.command == f"condsim simulate exit-fashion  {page.COUNTED}"
    assert recipe.python.endswith("from condsim.study import routing\nprint(routing.load(trace))")
