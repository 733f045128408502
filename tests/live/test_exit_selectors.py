"""Which rows leave and which go on, under every strategy."""

from __future__ import annotations

import pytest
import torch

from condsim.errors import CondsimError
from condsim.live.execution import Execution, Frame, Routed
from condsim.live.exit_selectors import OwingExits
from condsim.live.select import select
from condsim.live.selectors import RowSelector
from condsim.mechanisms import MECHANISMS

IDS = torch.tensor([1, 0, 1, 0, 0])
LEAVES, GOES_ON = 0, 1


def selected(strategy: str, choice: int, execution: Execution | None = None) -> RowSelector:
    routed = Routed("exit", MECHANISMS["token_exit"], strategy, 2, IDS)
    found = select(execution or Execution(), routed, Frame("exit", choice))
    assert isinstance(found, RowSelector)
    return found


@pytest.mark.parametrize("strategy", ["copied", "projected"])
def test_each_by_themselves(strategy: str) -> None:
    leaves, stays = selected(strategy, LEAVES), selected(strategy, GOES_ON)
    assert leaves.debts == strategy
    x = torch.arange(5.0)
    assert leaves.take(x).tolist() == [1, 3, 4]
    assert stays.take(x).tolist() == [0, 2]
    assert stays.put(x, torch.tensor([7.0, 8.0])).tolist() == [7, 1, 8, 3, 4]


def test_who_waits_runs_as_long_as_one_needs_it() -> None:
    assert not selected("wait", LEAVES)
    stays = selected("wait", GOES_ON)
    assert stays
    x = torch.arange(5.0)
    assert stays.put(x, x + 10).tolist() == [10, 1, 12, 3, 4]


def test_masked_owes_nothing() -> None:
    assert not selected("masked", LEAVES)
    assert selected("masked", GOES_ON).running == 5


def test_who_goes_on_runs_as_many_tokens_as_one_owes() -> None:
    assert selected("recomputed", LEAVES).running == 5
    stays = selected("recomputed", GOES_ON)
    assert isinstance(stays, OwingExits)
    assert stays.most_owed(torch.tensor([7, 4]), newest=8) == stays.tokens == 4
    forced = selected("recomputed", GOES_ON, Execution(owed={"exit": 2}))
    assert isinstance(forced, OwingExits)
    assert forced.most_owed(torch.tensor([7, 4]), newest=8) == 2


def test_other_strategies_are_refused() -> None:
    with pytest.raises(CondsimError, match="recomputed"):
        selected("compacted", GOES_ON)
