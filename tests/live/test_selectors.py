"""Selectors of rows: which rows run, and where their results go."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from condsim.errors import CondsimError
from condsim.live.execution import Execution, Frame, Routed
from condsim.live.select import select
from condsim.live.selectors import (
    AveragedRows,
    CompactedRows,
    MaskedRows,
    SlicedRows,
    WaitingRows,
)
from condsim.mechanisms import MECHANISMS

BRANCHES = 3
decisions = st.lists(st.integers(0, BRANCHES - 1), min_size=1, max_size=12).map(torch.tensor)


def work(rows: torch.Tensor) -> torch.Tensor:
    """What stands behind the guard."""
    return 2 * rows + 1


def selected(
    run: Execution,
    mechanism: str,
    frame: Frame,
    ids: torch.Tensor | None = None,
    branches: int = BRANCHES,
) -> Any:
    """The selector of a guard of the site "gate"."""
    strategy = run.strategy("gate", mechanism)
    routed = Routed("gate", MECHANISMS[mechanism], strategy, branches, ids)
    return select(run, routed, frame)


@given(decisions, st.integers(0, BRANCHES - 1))
def test_all_strategies_give_the_same_result(ids: torch.Tensor, choice: int) -> None:
    x = torch.randn(len(ids), 2)
    took = ids == choice
    expected = torch.where(took.unsqueeze(1), work(x), x)
    for strategy in MECHANISMS["skip"].marked:
        run = Execution({"gate": strategy})
        rows = selected(run, "skip", Frame("gate", choice), ids)
        out = rows.put(x, work(rows.take(x))) if rows else x
        torch.testing.assert_close(out, expected)


@given(decisions)
def test_compacted_runs_each_row_in_one_branch(ids: torch.Tensor) -> None:
    running = [CompactedRows(ids, choice).running for choice in range(BRANCHES)]
    assert sum(running) == len(ids)


@given(decisions)
def test_waiting_runs_all_rows_or_none(ids: torch.Tensor) -> None:
    for choice in range(BRANCHES):
        rows = WaitingRows(ids == choice)
        assert bool(rows) == bool((ids == choice).any())
        assert rows.running == (len(ids) if rows else 0)


def test_rows_that_do_not_run_are_zero_without_an_output() -> None:
    rows = CompactedRows(torch.tensor([0, 1, 1]), 1)
    assert rows.put(None, torch.ones(2)).tolist() == [0.0, 1.0, 1.0]


def test_experts_are_added_with_their_weights() -> None:
    ids = torch.tensor([[0, 1], [1, 2]])
    weights = torch.tensor([[0.25, 0.75], [0.5, 0.5]])
    x = torch.ones(2, 3)
    out = torch.zeros(2, 3)
    for expert in range(BRANCHES):
        rows = CompactedRows(ids, expert, weights)
        out = rows.add(out, (expert + 1) * rows.take(x))
    assert out[:, 0].tolist() == [0.25 * 1 + 0.75 * 2, 0.5 * 2 + 0.5 * 3]


def test_only_rows_that_took_the_outer_guards_are_gathered() -> None:
    outer = torch.tensor([True, False, True])
    rows = CompactedRows(torch.tensor([1, 1, 0]), 1, masks=(outer,))
    assert rows.running == 1


def test_a_guard_that_runs_all_rows_leaves_a_mask_for_those_inside() -> None:
    ids = torch.tensor([1, 0, 1])
    frame = Frame("gate", 1)
    assert isinstance(selected(Execution({"*": "masked"}), "skip", frame, ids), MaskedRows)
    assert [mask.tolist() for mask in frame.masks] == [[True, False, True]]
    selected(Execution({"*": "compacted"}), "skip", frame, ids)
    assert frame.masks == ()


def test_forced_decisions_know_which_rows_of_the_pass_run() -> None:
    ids = np.array([1, 0, 1])
    frame = Frame("gate", 1)
    selected(Execution(forced={"gate": ids}), "skip", frame, torch.as_tensor(ids))
    np.testing.assert_array_equal(frame.present, [0, 2])


@pytest.mark.parametrize(("choice", "runs"), [(0, False), (1, True)])
def test_same_params_runs_the_layer_for_every_row(choice: int, runs: bool) -> None:
    rows = selected(Execution({"*": "same-params"}), "skip", Frame("gate", choice))
    assert bool(rows) == runs


def test_same_params_runs_the_costliest_of_several_branches() -> None:
    run = Execution({"*": "same-params"}, costliest={"gate": 2})
    runs = [bool(selected(run, "multi_branch", Frame("gate", c))) for c in range(BRANCHES)]
    assert runs == [False, False, True]


def test_same_params_must_know_the_costliest_branch() -> None:
    run = Execution({"*": "same-params"})
    with pytest.raises(CondsimError, match=r"costliest branch: pass trace= to condsim\.force"):
        selected(run, "multi_branch", Frame("gate", 0))


@given(st.lists(st.integers(0, 4), min_size=2, max_size=4))
def test_same_flops_gives_every_row_to_one_branch(kept: list[int]) -> None:
    run = Execution({"*": "same-flops"}, rows_kept={"gate": np.array(kept)})
    x = torch.randn(sum(kept), 2)
    out = None
    for choice in range(len(kept)):
        rows = selected(run, "multi_branch", Frame("gate", choice), branches=len(kept))
        assert isinstance(rows, SlicedRows)
        if rows:
            out = rows.put(out, work(rows.take(x)))
            assert rows.running == kept[choice]
    if out is not None:
        torch.testing.assert_close(out, work(x))


def test_same_flops_averages_the_first_experts() -> None:
    run = Execution({"*": "same-flops"}, rows_kept={"gate": np.array([4, 4, 0])})
    experts = [selected(run, "moe", Frame("gate", c)) for c in range(BRANCHES)]
    assert [bool(expert) for expert in experts] == [True, True, False]
    assert isinstance(experts[0], AveragedRows)
    assert experts[0].add(torch.zeros(4, 1), torch.ones(4, 1)).tolist() == [[0.5]] * 4


@pytest.mark.parametrize(("mechanism", "strategy"), [("skip", "gathered"), ("moe", "fused")])
def test_a_strategy_of_another_mechanism_is_an_error(mechanism: str, strategy: str) -> None:
    ids = torch.zeros(2, 1, dtype=torch.int64)
    message = f"strategy '{strategy}' cannot run a marked {mechanism} site"
    with pytest.raises(CondsimError, match=message):
        selected(Execution({"*": strategy}), mechanism, Frame("gate", 1), ids)
