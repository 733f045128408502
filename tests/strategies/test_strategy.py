"""What a strategy may say of itself, and what its rule may return."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from condsim.errors import CondsimError
from condsim.mechanisms import MECHANISMS, Guards
from condsim.strategies import STRATEGIES, Strategy, rows_that_run

GUARDS = Guards(
    mechanism=MECHANISMS["skip"],
    choices=np.array([1]),
    counts=np.array([[3, 1], [0, 4]]),
    arriving=np.array([4, 4]),
)


@pytest.fixture
def returning(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Registers a strategy whose rule returns what it is told."""

    def register(returned: Any) -> str:
        made = Strategy("invented", ("skip",), lambda _: returned)
        monkeypatch.setitem(STRATEGIES._entries, "invented", made)
        return "invented"

    return register


def column(*rows: float) -> np.ndarray:
    return np.array(rows)[:, None]


@pytest.mark.parametrize(
    "returned",
    [
        None,
        column(4, 4),
        (column(4, 4),),
        (column(4, 4), [[1], [4]]),
        (column(4, 4), np.array([1, 4])),
        (column(4, 4), column(1.0, 4.0)),
        (column(4, 4), column(1, 5)),
        (column(4, 4), column(-1, 4)),
        (column(4, 4, 4), column(1, 4, 4)),
    ],
)
def test_a_rule_that_returns_something_else_is_named(returning: Any, returned: Any) -> None:
    name = returning(returned)
    with pytest.raises(CondsimError, match="the rule of strategy 'invented' must return"):
        rows_that_run(name, GUARDS)


def test_a_rule_that_returns_rows_is_believed(returning: Any) -> None:
    name = returning((column(4, 4), column(1, 4)))
    assert rows_that_run(name, GUARDS)[1].tolist() == [[1], [4]]


def test_a_strategy_without_guards_has_no_rows() -> None:
    with pytest.raises(CondsimError, match="strategy 'grouped' has no guards"):
        rows_that_run("grouped", GUARDS)


@pytest.mark.parametrize(
    "fields", [{"serves": ("branchd",)}, {"serves": ("moe",), "runs": {"expert": "looped"}}]
)
def test_a_family_that_there_is_not_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(CondsimError, match=r"did you mean '(branched|experts)'"):
        Strategy("invented", **fields)
