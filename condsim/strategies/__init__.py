"""How a site executes its decisions: one file a strategy, each says how many rows run behind a guard.

A rule is a function Guard → (outer, rows), int [n] each, for the n calls of a guard. A strategy is chosen by name, per site or mechanism.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from condsim.registry import Registry

Rows = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Guard:
    """What a rule may know of n calls of one guard.

    choice: the branch (-1: weight blocks). counts: rows that took each branch, int [n, branches]. arriving: rows that reached the site, int [n].
    kept: same-flops, rows (or blocks) that each branch keeps, int [n, branches]. costliest: same-params, the branch all rows take.
    """

    mechanism: str
    choice: int
    counts: np.ndarray
    arriving: np.ndarray
    kept: np.ndarray | None = None
    costliest: int | None = None

    @property
    def none(self) -> np.ndarray:
        """Zero for each call."""
        return np.zeros_like(self.arriving)


Rule = Callable[[Guard], Rows]


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


def strategy(name: str, *mechanisms: str) -> Callable[[Rule], Rule]:
    """Decorator: register a rule as a strategy."""

    def enter(rule: Rule) -> Rule:
        STRATEGIES.register(name)(Strategy(name, mechanisms, rule))
        return rule

    return enter


for _module in ("compacted", "wait", "masked", "gathered", "whole", "baselines"):
    importlib.import_module(f"{__name__}.{_module}")


def rows_that_run(name: str, guard: Guard) -> Rows:
    """(outer, rows) of a guard under the strategy `name`: int [n] each. Raises CondsimError for an unknown strategy."""
    rule = STRATEGIES[name].rule
    assert rule is not None, f"{name} has no guards"
    return rule(guard)


def name_of(strategies: Mapping[str, str]) -> str:
    """ "grouped" for one mechanism (or a baseline), "early_exit=compacted,moe=grouped" for more."""
    names = set(strategies.values())
    if len(strategies) == 1 or names <= set(BASELINES):
        return next(iter(strategies.values()))
    return ",".join(f"{m}={s}" for m, s in sorted(strategies.items()))
