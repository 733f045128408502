"""Program + decisions → the operators that run, with their sizes: the arrow from a trace to kernels.

`walk` visits every operator once with the sizes of all steps (and all experts of a loop) in arrays, `sequence` gives one step in executed order, and
`stretches` the same in pieces that can be priced once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import groupby
from typing import Any

import numpy as np

from condsim.program import Loop, Op, Program, Scope, elements
from condsim.strategies import Guard, rows_that_run

Path = tuple[
    tuple[int, int, int, int], ...
]  # loops from the root, each (node, choice key, outer regime, rows regime)
Place = tuple[Path, int]
CAPACITY_FACTOR = 1.25


@dataclass(frozen=True)
class SiteRule:
    """What lowering needs to know of a site. per_position: rows are positions of sequences, not units."""

    name: str
    mechanism: str
    branches: int
    per_position: bool
    top_k: int = 1


@dataclass(frozen=True)
class StepRows:
    """Sizes and decisions of n steps, summed up.

    units, seq, total: int [n] (seq 1 and total 1 where the model has no sequence). counts: site → rows that took each branch, int [n, branches];
    for sparse_activation rows that asked for each block. kept: same-flops, site → rows (or blocks) each branch keeps, int [n, branches].
    costliest: same-params, site → the branch all rows take. capacity_factor: padded, what an expert has room for over its even share.
    """

    units: np.ndarray
    seq: np.ndarray
    total: np.ndarray
    counts: Mapping[str, np.ndarray]
    kept: Mapping[str, np.ndarray] = field(default_factory=dict)
    costliest: Mapping[str, int] = field(default_factory=dict)
    capacity_factor: float = CAPACITY_FACTOR

    def __len__(self) -> int:
        return len(self.units)

    def step(self, i: int) -> StepRows:
        """One of the steps."""
        return self.some(slice(i, i + 1))

    def some(self, at: Any) -> StepRows:
        """Those of the steps that an index or a slice selects."""
        counts, kept = (
            {s: c[at] for s, c in columns.items()} for columns in (self.counts, self.kept)
        )
        return replace(
            self,
            units=self.units[at],
            seq=self.seq[at],
            total=self.total[at],
            counts=counts,
            kept=kept,
        )


@dataclass(frozen=True)
class Visit:
    """One operator with the sizes of everything that runs it.

    bindings: variable → int array [m]. step: which step each of the m calls belongs to, int [m]. choice: the branch whose weights each reads, int [m]
    (-1 outside of guards). guards: (site, choice or -1 for a family) from the outside in. place: where the operator stands in its program.
    """

    op: Op
    bindings: Mapping[str, np.ndarray]
    step: np.ndarray
    choice: np.ndarray
    guards: tuple[tuple[str, int], ...]
    place: Place


class Lowering:
    """One program on given rows. strategies: mechanism → strategy (or a baseline's name for all)."""

    def __init__(
        self,
        program: Program,
        sites: Mapping[str, SiteRule],
        strategies: Mapping[str, str],
        rows: StepRows,
    ) -> None:
        self.program, self.sites, self.strategies, self.rows = program, sites, strategies, rows

    @cached_property
    def first_step(self) -> tuple[Any, ...]:
        """A hashable that stands for what `sequence` gives, as long as the program lives."""
        r = self.rows
        return (
            id(self.program),
            int(r.units[0]),
            int(r.seq[0]),
            int(r.total[0]),
            *(c[0].tobytes() for c in (*r.counts.values(), *r.kept.values())),
        )

    def step(self, i: int) -> Lowering:
        """One of its steps, which costs what it does as one of all."""
        found = Lowering(self.program, self.sites, self.strategies, self.rows.step(i))
        found.first_step = self.first_step
        return found

    def walk(self) -> Iterator[Visit]:
        """Every operator with all its calls. Calls of a loop's body are merged over experts where one body serves them."""
        n = len(self.rows)
        env = {"batch": self.rows.units, "seq": self.rows.seq, "total": self.rows.total}
        yield from self._scope(self.program.root, env, np.arange(n), np.full(n, -1), (), ())

    def _scope(
        self,
        scope: Scope,
        env: dict[str, np.ndarray],
        step: np.ndarray,
        choice: np.ndarray,
        guards: tuple[tuple[str, int], ...],
        path: Path,
    ) -> Iterator[Visit]:
        for i, node in enumerate(scope.nodes):
            if isinstance(node, Op):
                yield Visit(node, self.sizes(node, env, step), step, choice, guards, (path, i))
            else:
                for group in self._groups(node, env, step):
                    yield from self._scope(
                        group.body,
                        group.env,
                        group.step,
                        group.choice,
                        (*guards, (node.site, group.label)),
                        (*path, (i, *group.key)),
                    )

    def sizes(self, op: Op, env: dict[str, np.ndarray], step: np.ndarray) -> dict[str, np.ndarray]:
        """Sizes of an operator in m calls: variable → int [m]. env: those of its scope. step: which step each call belongs to, int [m]."""
        if not op.site:
            return env
        rule = self.sites[op.site]
        tokens = self._arriving(rule, env)
        hits = (self.rows.counts[op.site] > 0).sum(1)[step]
        return {
            **env,
            "hits": hits,
            "capacity": capacity(tokens, rule.top_k, rule.branches, self.rows.capacity_factor),
        }

    def _arriving(self, rule: SiteRule, env: Mapping[str, np.ndarray]) -> np.ndarray:
        """Rows that reach a site from the scope that it stands in."""
        inside = env.get("rows")
        if inside is not None and "block" not in env:
            return inside
        return env["batch"] * env["seq"] if rule.per_position else env["batch"]

    def _groups(self, loop: Loop, env: dict[str, np.ndarray], step: np.ndarray) -> Iterator[_Group]:
        """Calls of a loop, grouped by the body that serves them."""
        rule = self.sites[loop.site]
        arriving = self._arriving(rule, env)
        found: dict[tuple[int, int, int], list[tuple[np.ndarray, np.ndarray, np.ndarray, int]]] = {}
        bodies: dict[tuple[int, int, int], Scope] = {}
        any_before = np.zeros(len(step), bool)
        for c in loop.choices:
            outer, rows = self._rows(rule, c, arriving, step)
            first = (rows > 0) & ~any_before
            any_before |= first
            regimes = np.minimum(outer, 2) * 6 + np.minimum(rows, 2) * 2 + first
            for regime in np.unique(regimes):
                served = loop.body(c, int(regime) // 6, int(regime) // 2 % 3, bool(regime % 2))
                if served is not None:
                    bodies[served[0]] = served[1]
                    found.setdefault(served[0], []).append(
                        (np.flatnonzero(regimes == regime), outer, rows, c)
                    )
        for key, parts in found.items():
            at = np.concatenate([p[0] for p in parts])
            inner = {k: v[at] for k, v in env.items()}
            inner["outer"] = np.concatenate([p[1][p[0]] for p in parts])
            inner["rows"] = np.concatenate([p[2][p[0]] for p in parts])
            inner["rest"] = inner["outer"] - inner["rows"]
            if rule.mechanism == "sparse_activation":
                inner["block"] = inner["rows"]
            choice = np.concatenate([np.full(len(p[0]), p[3]) for p in parts])
            yield _Group(
                key,
                bodies[key],
                inner,
                step[at],
                choice,
                parts[0][3] if key[0] != -1 or len(parts) == 1 else -1,
            )

    def _rows(
        self, rule: SiteRule, choice: int, arriving: np.ndarray, step: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """(outer, rows) of one guard in each call, under the strategy in force."""
        strategy = self.strategies[rule.mechanism]
        counts = self.rows.counts[rule.name][step]
        kept = self.rows.kept[rule.name][step] if rule.name in self.rows.kept else None
        return rows_that_run(
            strategy,
            Guard(
                rule.mechanism, choice, counts, arriving, kept, self.rows.costliest.get(rule.name)
            ),
        )

    def sequence(self) -> list[Call]:
        """The operators of the first step in executed order, experts in ascending order."""
        calls: list[Call] = []
        self._play(
            self.program.root,
            {
                k: int(v[0])
                for k, v in (
                    ("batch", self.rows.units),
                    ("seq", self.rows.seq),
                    ("total", self.rows.total),
                )
            },
            (),
            (),
            calls,
            {},
            [0],
        )
        return calls

    def _play(
        self,
        scope: Scope,
        env: dict[str, int],
        guards: tuple[tuple[str, int], ...],
        path: Path,
        calls: list[Call],
        slots: dict[Any, list[tuple[int, int, str]]],
        serial: list[int],
    ) -> None:
        serial[0] += 1
        mine = serial[0]
        at: dict[int, list[Any]] = {}
        for f in scope.frees:
            at.setdefault(f.position, []).append(f)

        def die(position: int) -> None:
            for f in at.get(position, ()):
                queue = slots.get((f.path, f.op, f.alloc), [])
                if queue and (not f.previous or queue[0][0] != mine):
                    _, size, dtype = queue.pop(0)
                    if calls:
                        calls[-1].freed.append((size, dtype))

        die(-1)
        for i, node in enumerate(scope.nodes):
            if isinstance(node, Op):
                bound = {
                    k: int(v[0])
                    for k, v in self.sizes(
                        node, {k: np.array([v]) for k, v in env.items()}, np.array([0])
                    ).items()
                }
                calls.append(Call(node, bound, guards, (path, i)))
                for a, (size, dtype) in enumerate(node.allocs):
                    count = int(size(bound))
                    calls[-1].born.append((count, dtype))
                    slots.setdefault((path, i, a), []).append((mine, count, dtype))
            else:
                for choice, key, body, inner in self._bodies(node, env, 0):
                    self._play(
                        body,
                        inner,
                        (*guards, (node.site, choice)),
                        (*path, (i, *key)),
                        calls,
                        slots,
                        serial,
                    )
            die(i)

    def _bodies(
        self, loop: Loop, env: Mapping[str, int], step: int
    ) -> Iterator[tuple[int, tuple[int, int, int], Scope, dict[str, int]]]:
        """What a loop runs in one step: (choice, key of its body, body, its sizes)."""
        rule, at = self.sites[loop.site], np.array([step])
        arriving = self._arriving(rule, {k: np.array([v]) for k, v in env.items()})
        any_before = False
        for choice in loop.choices:
            outer, rows = (int(v[0]) for v in self._rows(rule, choice, arriving, at))
            served = loop.body(choice, outer, rows, rows > 0 and not any_before)
            any_before = any_before or rows > 0
            if served is not None:
                inner = {**env, "outer": outer, "rows": rows, "rest": outer - rows}
                if rule.mechanism == "sparse_activation":
                    inner["block"] = inner["rows"]
                yield choice, *served, inner

    def stretches(self, step: int) -> Iterator[Stretch]:
        """One step in executed order, experts in ascending order: the same operators as in `sequence`, as many at once as have their sizes in common."""
        env = {
            k: int(v[step])
            for k, v in (
                ("batch", self.rows.units),
                ("seq", self.rows.seq),
                ("total", self.rows.total),
            )
        }
        yield from self._stretches(self.program.root, env, (), step)

    def _stretches(
        self, scope: Scope, env: dict[str, int], path: Path, step: int
    ) -> Iterator[Stretch]:
        for _, group in groupby(enumerate(scope.nodes), key=lambda place: isinstance(place[1], Op)):
            nodes = dict(group)
            if ops := tuple(node for node in nodes.values() if isinstance(node, Op)):
                yield Stretch(ops, min(nodes), env, path)
                continue
            for i, loop in ((i, node) for i, node in nodes.items() if isinstance(node, Loop)):
                for _, key, body, inner in self._bodies(loop, env, step):
                    yield from self._stretches(body, inner, (*path, (i, *key)), step)


@dataclass(frozen=True)
class Stretch:
    """Operators that follow each other in one scope, and their sizes in one step. first: where they begin there. path: loops from the root."""

    ops: tuple[Op, ...]
    first: int
    sizes: Mapping[str, int]
    path: Path


@dataclass(frozen=True)
class _Group:
    key: tuple[int, int, int]
    body: Scope
    env: dict[str, np.ndarray]
    step: np.ndarray
    choice: np.ndarray
    label: int


@dataclass(frozen=True)
class Call:
    """One operator call of one step. born, freed: storages (elements, dtype) created by it and dead after it."""

    op: Op
    bindings: Mapping[str, int]
    guards: tuple[tuple[str, int], ...]
    place: Place
    born: list[tuple[int, str]] = field(default_factory=list)
    freed: list[tuple[int, str]] = field(default_factory=list)

    def signature(self) -> tuple[Any, ...]:
        """(operator, input shapes, output shapes, weights, guards, synchronises): what conformance compares."""
        choice = str(self.guards[-1][1]) if self.guards else ""
        return (
            self.op.name,
            tuple(t.shape(self.bindings) for t in self.op.inputs),
            tuple(t.shape(self.bindings) for t in self.op.outputs),
            tuple(t.weight.replace("*", choice) for t in self.op.inputs),
            self.guards,
            self.op.sync,
        )


ITEMSIZE = {
    "float": 4,
    "int64": 8,
    "int32": 4,
    "bool": 1,
    "uint8": 1,
    "float64": 8,
    "float16": 2,
    "bfloat16": 2,
    "int16": 2,
    "float32": 4,
}


def peak_bytes(calls: list[Call], float_bytes: int = 4) -> int:
    """The largest sum of bytes alive at once that a step allocates: weights and inputs not counted."""
    size = {**ITEMSIZE, "float": float_bytes}
    live = peak = 0
    for call in calls:
        live += sum(n * size[t] for n, t in call.born)
        peak = max(peak, live)
        live -= sum(n * size[t] for n, t in call.freed)
    return peak


def capacity(tokens: Any, top_k: int, experts: int, factor: float = CAPACITY_FACTOR) -> Any:
    """Rows an expert has room for; int array. Source: Switch Transformer, section 2.2. The factor is that of `padded`."""
    return np.maximum(1, np.ceil(tokens * top_k / experts * factor)).astype(np.int64)


Visitor = Callable[[Visit], None]
__all__ = [
    "Call",
    "Lowering",
    "SiteRule",
    "StepRows",
    "Visit",
    "capacity",
    "elements",
    "peak_bytes",
]
