"""What a strategy is, and the registry of all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from condsim.errors import CondsimError, shown, unknown
from condsim.hardware import abilities
from condsim.hardware.device_classes import DEVICE_CLASSES
from condsim.mechanisms import MECHANISMS, Guards, Mechanism, Rows
from condsim.program import Program
from condsim.registry import Registry

Rule = Callable[[Guards], Rows]

BRANCHED, EXPERTS, BLOCKS, TOKENS = "branched", "experts", "blocks", "tokens"
EVERY_FAMILY = (BRANCHED, EXPERTS, BLOCKS, TOKENS)
"""Families of mechanisms that decide about rows, which a strategy may be registered for."""
OWING = "owing"
"""The family of mechanisms whose rows owe later steps what they skip."""
WEIGHTS = "weights"
"""The family of mechanisms that decide about weights, whatever the rows are."""


@dataclass(frozen=True)
class Strategy:
    """How a site executes.

    serves: names or families of the mechanisms that it is for.
    rule: rows behind a guard; None where its program has no guards.
    needs: what a class of devices must offer (`condsim.hardware.abilities`) to have it.
    shapes: how many sizes its operators have: "one", "few" (buckets) or "any" (the decisions').
    steered: who follows a decision: nobody (""), the "host", or the "companion" CPU, which runs
        all that comes after.
    runs: family → the strategy whose program it runs on rows of its own; empty for a program of
        its own.
    rewrites: turns that program into its own.
    changes: what it does to the model's outputs.
    drops: it may drop rows over an expert's capacity.
    waits_for_weights: its weights are in the host's memory (`condsim.engine.expert_cache`).
    feels_imbalance: its time depends on how evenly rows are spread over the branches.
    buckets: of a step's units, by how many tokens they keep; each bucket runs by itself.
    owed: of mechanisms whose rows owe: guards → the steps of each unit that each guard runs, int
        [n, guards], 0 for as many as around it; None where it is the new step alone.
    tables: of times that a device's profile must have, without which nothing is known of it.
    weights: dtype of weights whose kernels it is made of: other devices lack it. "": any.
    also: what is known by the same name for other families.
    """

    name: str
    serves: tuple[str, ...]
    rule: Rule | None = None
    needs: tuple[str, ...] = (abilities.PROGRAMMABLE,)
    shapes: Literal["one", "few", "any"] = "one"
    steered: Literal["", "host", "companion"] = ""
    runs: Mapping[str, str] = field(default_factory=dict)
    rewrites: Callable[[Program], Program] | None = None
    changes: str = ""
    drops: bool = False
    waits_for_weights: bool = False
    feels_imbalance: bool = False
    buckets: int = 1
    owed: Callable[[Guards], np.ndarray] | None = None
    tables: tuple[str, ...] = ()
    weights: str = ""
    also: tuple[Strategy, ...] = ()

    def __post_init__(self) -> None:
        """Raises CondsimError for a family or mechanism that there is not."""
        for served in (*self.serves, *self.runs):
            if served not in (*EVERY_FAMILY, OWING, WEIGHTS) and served not in MECHANISMS:
                known = [*EVERY_FAMILY, OWING, WEIGHTS, *MECHANISMS]
                raise unknown(f"family or mechanism of strategy {self.name!r}", served, known)

    def fits_device(self, kind: str, static: bool) -> bool:
        """Whether a class of devices has it.

        kind: the name of the class. static: the device's runtime fixes all sizes before a run.
        Buckets serve only such a one, sizes that follow the data never do.
        """
        impossible = "any" if static else "few"
        return self.shapes != impossible and DEVICE_CLASSES[kind].has_all(self.needs)

    def is_for(self, mechanism: Mechanism) -> bool:
        """Whether it can execute a mechanism's decisions."""
        return any(one._serves(mechanism) for one in (self, *self.also))

    @property
    def all_served(self) -> frozenset[str]:
        """What its name serves, in whatever meaning."""
        return frozenset(served for one in (self, *self.also) for served in one.serves)

    def on(self, mechanism: Mechanism) -> Strategy:
        """Return what its name means for a mechanism."""
        for one in self.also:
            if one._serves(mechanism):
                return one
        return self

    def _serves(self, mechanism: Mechanism) -> bool:
        return mechanism.name in self.serves or mechanism.family in self.serves


class Strategies(Registry[Strategy]):
    """Strategies by name. One name may stand for several, each of families of its own."""

    def register(self, *names: str) -> Callable[[Strategy], Strategy]:
        """Decorator: enter a strategy. Raises ValueError for a name that its families have."""

        def enter(entry: Strategy) -> Strategy:
            for name in names:
                known = self._entries.get(name)
                if known is None or self._clash(known, entry):
                    Registry.register(self, name)(entry)
                else:
                    self._entries[name] = replace(known, also=(*known.also, entry))
            return entry

        return enter

    @staticmethod
    def _clash(known: Strategy, entry: Strategy) -> bool:
        """Whether two strategies are for the same family, or one of them for none."""
        taken = known.all_served
        return not taken or not entry.serves or not taken.isdisjoint(entry.serves)


STRATEGIES = Strategies("strategy")
BASELINES = ("same-params", "same-flops")
DENSE = "dense"
"""How a model without sites runs."""


def strategy(name: str, *serves: str, **fields: Any) -> Callable[[Rule], Rule]:
    """Decorator: register a rule as a strategy. fields: of `Strategy`."""

    def register(rule: Rule) -> Rule:
        STRATEGIES.register(name)(Strategy(name, serves, rule, **fields))
        return rule

    return register


def rows_that_run(name: str, guards: Guards) -> Rows:
    """Return the rows that reach a strategy's guards, and those that it runs behind each.

    Raises CondsimError for an unknown strategy, for one that has no guards, and where its rule
    returns what no such rows could be.
    """
    rule = STRATEGIES[name].on(guards.mechanism).rule
    if rule is None:
        raise CondsimError(f"strategy {name!r} has no guards, and a program that it runs has")
    returned = rule(guards)
    _check_rows(name, returned, guards)
    return returned


def _check_rows(name: str, returned: Any, guards: Guards) -> None:
    """Raises CondsimError unless a rule returned whole numbers: 0 <= running <= arriving.

    Of blocks, as many run as there are at most.
    """
    said = f"the rule of strategy {name!r} must return (rows that arrive, rows that run)"
    shape = (len(guards.arriving), len(guards.choices))
    if not isinstance(returned, tuple) or len(returned) != 2:
        raise CondsimError(f"{said}, got {shown(returned)}")
    for rows in returned:
        if not isinstance(rows, np.ndarray) or rows.shape != shape or rows.dtype.kind not in "iu":
            found = f"{rows.dtype} {rows.shape}" if isinstance(rows, np.ndarray) else shown(rows)
            raise CondsimError(f"{said}, int {shape} each, got {found}")
    arriving, running = returned
    most = guards.counts.shape[1] if guards.mechanism.selects_blocks else arriving
    if (running < 0).any() or (running > most).any():
        raise CondsimError(f"{said}: at a guard more run than arrive, or fewer than none")


def meant(strategies: Mapping[str, str]) -> list[Strategy]:
    """Return what the names of strategies mean. strategies: mechanism → strategy."""
    return [STRATEGIES[name].on(MECHANISMS[mechanism]) for mechanism, name in strategies.items()]


def strategies_for(mechanism: str) -> list[str]:
    """Return the names of the strategies of a mechanism, baselines left out."""
    routing = MECHANISMS[mechanism]
    able = [name for name, s in STRATEGIES.items() if s.is_for(routing)]
    return [name for name in able if name not in BASELINES]


def program_name(strategies: Mapping[str, str]) -> str:
    """Return the name of the program that runs. strategies: mechanism → strategy."""
    programs = {}
    for mechanism, name in strategies.items():
        routing = MECHANISMS[mechanism]
        programs[mechanism] = STRATEGIES[name].on(routing).runs.get(routing.family, name)
    return name_of(programs)


def name_of(strategies: Mapping[str, str]) -> str:
    """Return "grouped" for one mechanism or a baseline, else "early_exit=wait,moe=grouped".

    A model that decides nothing runs as DENSE.
    """
    if not strategies:
        return DENSE
    names = set(strategies.values())
    if len(strategies) == 1 or names <= set(BASELINES):
        return next(iter(strategies.values()))
    parts = [f"{mechanism}={name}" for mechanism, name in sorted(strategies.items())]
    return ",".join(parts)
