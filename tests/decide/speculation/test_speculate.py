"""Drafting with an early exit: what is kept, what a cycle runs, what it gains."""

from __future__ import annotations

import functools
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import condsim
from condsim.decide.speculation.cycle import cycle, exits_of, tokens_a_cycle
from condsim.errors import CondsimError
from condsim.resources import resource
from condsim.steps.rebatch import rebatch
from condsim.trace import Trace

PI = "raspberry-pi-5"


@functools.cache
def trace() -> Trace:
    return condsim.load(resource("traces") / "exit-bytes")


def told(agrees: list[list[int]]) -> Trace:
    """Two sequences or more with what their first exit's drafts are worth, step by step."""
    steps = len(agrees[0])
    rows = [("decode", len(agrees), 1, 10 + step) for step in range(steps)]
    table = pd.DataFrame(rows, columns=["phase", "units", "seq", "past"])
    columns = dict.fromkeys(
        (f"drafts@{name}" for name in exits_of(trace())), np.array(agrees).T.ravel()
    )
    return replace(trace(), steps=table, quality=pd.DataFrame(columns))


def test_drafts_are_kept_up_to_the_first_that_is_wrong() -> None:
    one = told([[1, 1, 0, 1, 1, 1, 0, 0]])
    # two drafts: kept 2 (steps 0, 1), at 3 kept 2, at 6 there is no room for two more
    assert tokens_a_cycle(one, "exit0", 2) == 3
    # four drafts: at 0 kept 2; at 3 kept 3; at 7 no room
    assert tokens_a_cycle(one, "exit0", 4) == (3 + 4) / 2


def test_a_batch_goes_as_far_as_its_worst_sequence() -> None:
    two = told([[1, 1, 1, 1], [1, 0, 1, 0]])
    assert tokens_a_cycle(two, "exit0", 1, batch=2) == (2 + 2) / 2
    assert tokens_a_cycle(two, "exit0", 1) == pytest.approx((2 + 2 + 2 + 2) / 4)
    with pytest.raises(CondsimError, match="2 sequences"):
        tokens_a_cycle(two, "exit0", 1, batch=3)


def test_a_cycle_drafts_and_then_verifies_all_drafts_at_once() -> None:
    steps = rebatch(cycle(trace(), "exit1", 3, 2), 2).steps
    assert len(steps) == 4
    assert steps.counts["exit1"].tolist() == [[2, 0]] * 3 + [[0, 2]]
    assert steps.owed["exit0"].tolist() == [[1, 1]] * 4
    assert steps.owed["exit1"].tolist() == [[0, 0]] * 3 + [[4, 4]]
    assert steps.owed["exit2"].tolist() == [[0, 0]] * 3 + [[4, 4]]


def test_speedup_is_tokens_over_cost() -> None:
    found = condsim.speculate(trace(), PI, drafts=[1, 4])
    table = found.table
    assert set(table["exit"]) == set(exits_of(trace()))
    assert np.allclose(table["speedup"], table["tokens_a_cycle"] / table["cost"])
    assert np.allclose(table["cost"], table["cycle_s"] / table["plain_s"])
    assert (table["tokens_a_cycle"] <= table["drafts"] + 1).all()
    assert found.best["speedup"] == table["speedup"].max()
    assert found.to_dict()["rows"][0]["exit"] == "exit0"
    more = table.groupby("exit")["cost"].diff().dropna()
    assert (more > 0).all(), "more drafts cost more"


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"drafts": 0}, "drafts must be a whole number of at least 1"),
        ({"drafts": []}, "empty list"),
        ({"exit": "exit9"}, "exit0"),
        ({"batch": 0}, "batch must be a whole number of at least 1"),
        ({"drafts": 99}, "fewer"),
    ],
)
def test_bad_input(asked: dict[str, object], words: str) -> None:
    with pytest.raises(CondsimError, match=words):
        condsim.speculate(trace(), PI, **asked)  # type: ignore[arg-type]


def test_other_traces_are_refused() -> None:
    exits = condsim.load(resource("traces") / "exit-fashion")
    with pytest.raises(CondsimError, match="token_exit"):
        condsim.speculate(exits, PI)
    silent = replace(trace(), quality=pd.DataFrame())
    with pytest.raises(CondsimError, match="capture it again"):
        condsim.speculate(silent, PI)
