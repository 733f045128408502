"""How a site executes its decisions: one file a strategy, each says how many rows run behind a guard.

A strategy is a function (mechanism, choice, counts [n, branches], arriving [n], kept [n, branches] or None, costliest) → (outer [n], rows [n]) for the
n calls of a guard. counts: rows that took each branch; arriving: rows that reached the site. It is chosen by name, per site or mechanism.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from condsim.registry import Registry

Rows = tuple[np.ndarray, np.ndarray]
Rule = Callable[[str, int, np.ndarray, np.ndarray, np.ndarray | None, int | None], Rows]


@dataclass(frozen=True)
class Strategy:
    """mechanisms: what it is for. drops: it may drop rows over capacity. rule: rows behind a guard, None where it has no guards."""

    name: str
    mechanisms: tuple[str, ...]
    rule: Rule | None = None
    drops: bool = False


STRATEGIES: Registry[Strategy] = Registry("strategy")
BASELINES = ("same-params", "same-flops")
BRANCHED = ("early_exit", "multi_branch", "skip")


def strategy(name: str, *mechanisms: str, drops: bool = False) -> Callable[[Rule], Rule]:
    """Decorator: register a rule as a strategy."""

    def enter(rule: Rule) -> Rule:
        STRATEGIES.register(name)(Strategy(name, mechanisms, rule, drops))
        return rule

    return enter


for _module in ("compacted", "wait", "masked", "gathered", "whole", "baselines"):
    importlib.import_module(f"{__name__}.{_module}")


def rows_that_run(
    name: str, mechanism: str, choice: int, counts: np.ndarray, arriving: np.ndarray, kept: np.ndarray | None, costliest: int | None
) -> Rows:
    """(outer, rows) of a guard under the strategy `name`: int [n] each. Raises CondsimError for an unknown strategy."""
    rule = STRATEGIES[name].rule
    assert rule is not None, f"{name} has no guards"
    return rule(mechanism, choice, counts, arriving, kept, costliest)
