"""How a site executes its decisions: one file a strategy, each says how many rows run behind a guard.

A rule is a function Guard → (outer, rows), int [n] each, for the n calls of a guard. A strategy is chosen by name, per site or mechanism.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from condsim.program import Program
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
    """How a site executes.

    mechanisms: what it is for. rule: rows behind a guard, None where it has no guards. drops: it may drop rows over capacity. kinds: classes of devices
    that have it. shapes: of how many sizes its operators may be: "one", "few" (buckets) or "any" (they follow the decisions). steered: who follows a
    decision: nobody (""), the "host", or the "companion" CPU, which runs all that comes after. runs: mechanism → the strategy whose program it runs on
    its own rows; empty where it is its own. rewrites: that program → its own, where a trace has only the former. changes: what it does to the outputs.
    waits_for_weights: they are in the host's memory (`condsim.engine.expert_cache`).
    """

    name: str
    mechanisms: tuple[str, ...]
    rule: Rule | None = None
    drops: bool = False
    kinds: tuple[str, ...] = ("cpu", "gpu", "tpu")
    shapes: Literal["one", "few", "any"] = "one"
    steered: Literal["", "host", "companion"] = ""
    runs: Mapping[str, str] = field(default_factory=dict)
    rewrites: Callable[[Program], Program] | None = None
    changes: str = ""
    waits_for_weights: bool = False

    def fits(self, kind: str, static: bool) -> bool:
        """Whether a class of device has it. static: its runtime fixes all sizes before a run (else buckets are for nothing)."""
        return kind in self.kinds and self.shapes != ("any" if static else "few")


STRATEGIES: Registry[Strategy] = Registry("strategy")
BASELINES = ("same-params", "same-flops")
BRANCHED = ("early_exit", "multi_branch", "skip")
ANY_ROWS = {
    **dict.fromkeys(BRANCHED, "compacted"),
    "moe": "looped",
    "sparse_activation": "gathered",
}  # what runs as many rows as took a branch


def strategy(name: str, *mechanisms: str, **fields: Any) -> Callable[[Rule], Rule]:
    """Decorator: register a rule as a strategy. fields: of `Strategy`."""

    def enter(rule: Rule) -> Rule:
        STRATEGIES.register(name)(Strategy(name, mechanisms, rule, **fields))
        return rule

    return enter


def rows_that_run(name: str, guard: Guard) -> Rows:
    """(outer, rows) of a guard under the strategy `name`: int [n] each. Raises CondsimError for an unknown strategy."""
    rule = STRATEGIES[name].rule
    assert rule is not None, f"{name} has no guards"
    return rule(guard)


def program_name(strategies: Mapping[str, str]) -> str:
    """The name of the program that runs under them."""
    return name_of({m: STRATEGIES[s].runs.get(m, s) for m, s in strategies.items()})


def name_of(strategies: Mapping[str, str]) -> str:
    """ "grouped" for one mechanism (or a baseline), "early_exit=compacted,moe=grouped" for more."""
    names = set(strategies.values())
    if len(strategies) == 1 or names <= set(BASELINES):
        return next(iter(strategies.values()))
    return ",".join(f"{m}={s}" for m, s in sorted(strategies.items()))


ONE_A_FILE = (
    "compacted",
    "wait",
    "masked",
    "gathered",
    "whole",
    "fused",
    "baselines",
    "bucketed",
    "select",
    "switched",
    "cpu_tail",
    "two_four",
    "predicated",
    "offloaded",
)

for _module in ONE_A_FILE:
    importlib.import_module(f"{__name__}.{_module}")
