"""Nested scopes of several runs → one program whose sizes are functions of batch, sequence, rows and hits.

Nothing is fitted by least squares: a form either gives every size exactly, or it is not used and the operator is flagged.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import combinations

from condsim.errors import CondsimError
from condsim.program import (
    FIRST,
    VARIABLES,
    Dim,
    Free,
    Loop,
    Op,
    Product,
    Program,
    Scope,
    Tensor,
    elements,
)
from condsim.program.operators import elementwise
from condsim.record.nest import Instance, RunLoop, RunScope
from condsim.record.recorder import Died, ExpertsCall, RecordedOp, RecordedTensor

Sample = dict[str, int]
Picked = tuple[Instance, Sample, dict[str, ExpertsCall]]
Path = tuple[tuple[int, int, int, int], ...]
Location = tuple[Path, int]


class Misfit(CondsimError):
    """Runs of one regime that do not have the same operators."""


@dataclass
class Run:
    """One probing run: its sizes (batch, seq, total), its scopes, and how experts were called in it."""

    sizes: Sample
    scope: RunScope
    calls: dict[str, ExpertsCall]


@dataclass
class Fitter:
    """Fits one program; collects flagged operators and where each recorded operator went."""

    flagged: list[str] = field(default_factory=list)
    where: dict[RecordedOp, Location] = field(default_factory=dict)
    of_instance: dict[RecordedOp, Instance | None] = field(default_factory=dict)
    memo: dict[tuple[object, ...], Dim | None] = field(default_factory=dict)

    def program(self, strategy: str, regime: str, runs: Sequence[Run]) -> Program:
        """Raises Misfit where the runs' streams differ in their operators."""
        scopes = [r.scope for r in runs]
        root = self._scope(
            scopes, [dict(r.sizes) for r in runs], [r.calls for r in runs], (), [None] * len(runs)
        )
        root = self._frees(root, scopes)
        return Program(
            strategy,
            regime,
            root,
            tuple(dict.fromkeys(self.flagged)),
            tuple(dict(r.sizes) for r in runs),
        )

    def _scope(
        self,
        scopes: list[RunScope],
        samples: list[Sample],
        calls: list[dict[str, ExpertsCall]],
        path: Path,
        instances: Sequence[Instance | None],
    ) -> Scope:
        length = len(scopes[0].nodes)
        if any(len(s.nodes) != length for s in scopes):
            raise Misfit(
                f"the operator streams of {len(scopes)} runs have {sorted({len(s.nodes) for s in scopes})} operators; {_difference(scopes)}"
            )
        nodes: list[Op | Loop] = []
        for i in range(length):
            column = [s.nodes[i] for s in scopes]
            first = column[0]
            if isinstance(first, RecordedOp):
                nodes.append(
                    self._op(
                        [c for c in column if isinstance(c, RecordedOp)],
                        len(column),
                        samples,
                        calls,
                        [i.choice if i else -1 for i in instances],
                    )
                )
                for c, instance in zip(column, instances, strict=True):
                    assert isinstance(c, RecordedOp)
                    self.where[c] = (path, i)
                    self.of_instance[c] = instance
            else:
                nodes.append(
                    self._loop(
                        [c for c in column if isinstance(c, RunLoop)],
                        len(column),
                        samples,
                        calls,
                        (path, i),
                    )
                )
        return Scope(tuple(nodes))

    def _loop(
        self,
        column: list[RunLoop],
        expected: int,
        samples: list[Sample],
        calls: list[dict[str, ExpertsCall]],
        at: Location,
    ) -> Loop:
        if len(column) != expected:
            raise Misfit(
                f"a guard of site {column[0].site!r} stands where another run has an operator"
            )
        site = column[0].site
        picked = [
            (
                inst,
                {**sample, "outer": inst.outer, "rows": inst.rows, "rest": inst.outer - inst.rows},
                call,
            )
            for loop, sample, call in zip(column, samples, calls, strict=True)
            for inst in loop.instances
        ]
        choices = tuple(sorted({inst.choice for inst, _, _ in picked}))
        called = calls[0].get(site)
        if called is not None and called.unmarked_loop:  # which experts are hit is up to the data
            choices = tuple(range(len(called.tokens_per_expert)))
        bodies: dict[tuple[int, int, int], Scope] = {}
        try:
            if len(choices) == 1:
                raise Misfit("one choice")
            self._bodies(picked, -1, at, bodies)
        except Misfit:
            bodies = {}
            for c in choices:
                self._bodies([p for p in picked if p[0].choice == c], c, at, bodies)
        return Loop(site, choices, bodies)

    def _bodies(
        self,
        picked: list[Picked],
        choice: int,
        at: Location,
        bodies: dict[tuple[int, int, int], Scope],
    ) -> None:
        """One body for every number of rows where the operators allow, else several: for 1 row and more, for the first with rows, for 1 outer row."""
        empty = [p for p in picked if p[0].rows == 0]
        some = [p for p in picked if p[0].rows > 0]
        if empty:
            self._split(
                empty, choice, at, bodies, (lambda _: (2, 0), lambda i: (min(i.outer, 2), 0))
            )
        if some:
            self._split(
                some,
                choice,
                at,
                bodies,
                (
                    lambda _: (2, 2),
                    lambda i: (2, FIRST if i.first else 2),
                    lambda i: (2, min(i.rows, 2)),
                    lambda i: (min(i.outer, 2), min(i.rows, 2)),
                ),
            )

    def _split(
        self,
        picked: list[Picked],
        choice: int,
        at: Location,
        bodies: dict[tuple[int, int, int], Scope],
        ways: Sequence[Callable[[Instance], tuple[int, int]]],
    ) -> None:
        """Fit one body a regime, the coarsest way that fits exactly. A way: instance → (outer regime, rows regime)."""
        for number, way in enumerate(ways):
            last = number + 1 == len(ways)
            flagged = len(self.flagged)
            parts: dict[tuple[int, int], list[Picked]] = {}
            for p in picked:
                parts.setdefault(way(p[0]), []).append(p)
            try:
                found = {
                    (choice, *regime): self._body(chosen, (*at[0], (at[1], choice, *regime)))
                    for regime, chosen in parts.items()
                }
            except Misfit:
                if last:
                    raise
            else:
                if last or len(self.flagged) == flagged:
                    bodies.update(found)
                    return
            del self.flagged[flagged:]

    def _body(self, chosen: list[Picked], path: Path) -> Scope:
        return self._scope(
            [p[0].scope for p in chosen],
            [p[1] for p in chosen],
            [p[2] for p in chosen],
            path,
            [p[0] for p in chosen],
        )

    def _op(
        self,
        column: list[RecordedOp],
        expected: int,
        samples: list[Sample],
        calls: list[dict[str, ExpertsCall]],
        choices: list[int],
    ) -> Op:
        first = column[0]
        if (
            len(column) != expected
            or len({_kind(op) for op in column}) != 1
            or not _same_weights(column, choices)
        ):
            raise Misfit(
                f"operator {first.name!r} in {first.module or 'the model'} differs between runs: {sorted({op.name for op in column})}"
            )
        if first.site:
            samples = [
                {
                    **s,
                    "hits": sum(n > 0 for n in c[first.site].tokens_per_expert),
                    "capacity": c[first.site].capacity,
                }
                for s, c in zip(samples, calls, strict=True)
            ]
        keys = tuple(sorted(samples[0]))
        fitted_to = tuple(tuple(s[k] for k in keys) for s in samples)
        bad = False

        def form(values: tuple[int, ...]) -> Dim | None:
            memo = (values, keys, fitted_to)
            if memo not in self.memo:
                self.memo[memo] = fit_dim(values, samples)
            return self.memo[memo]

        def size(values: tuple[int, ...]) -> Dim:
            nonlocal bad
            found = form(values)
            if found is None:
                bad = True
                return Dim(values[-1])
            return found

        def tensors(kind: list[list[RecordedTensor]]) -> tuple[Tensor, ...]:
            return tuple(
                Tensor(
                    tuple(size(d) for d in zip(*(t.shape for t in ts), strict=True)),
                    ts[0].dtype,
                    _family([t.weight for t in ts], choices) or "",
                )
                for ts in zip(*kind, strict=True)
            )

        outputs = tensors([op.outputs for op in column])

        def storage(values: tuple[int, ...]) -> Dim | Product:
            """A size; a product of an output's sizes where no single form fits (n * (n + 1))."""
            if form(values) is None:
                for o, t in enumerate(outputs):
                    if all(
                        elements(op.outputs[o].shape) == v
                        for op, v in zip(column, values, strict=True)
                    ):
                        return Product(t.dims)
            return size(values)

        fitted = Op(
            first.name,
            tensors([op.inputs for op in column]),
            outputs,
            max(op.params for op in column),
            min((op.role for op in column), key=len),
            first.site,
            _family([op.module for op in column], choices) or first.module,
            max(op.entered for op in column),
            min(op.instructions for op in column),
            first.view,
            first.sync,
            tuple(
                (storage(tuple(a[0] for a in al)), al[0][1])
                for al in zip(*(op.allocs for op in column), strict=True)
            ),
        )
        if bad:
            self.flagged.append(f"{first.name} in {first.module or 'the model'}")
        return fitted

    def _frees(self, root: Scope, scopes: list[RunScope]) -> Scope:
        """Put the deaths of storages that any run saw into the fitted scopes, and those that follow for combinations of guards that no run had."""
        frees: dict[Path, dict[Free, None]] = {}
        survived: set[tuple[Path, int, Location, int]] = set()

        def collect(
            scope: RunScope,
            path: Path | None,
            inside: tuple[Instance, ...],
            alive: set[tuple[RecordedOp, int]],
        ) -> None:
            dying: dict[int, list[Died]] = {}
            for position, died in scope.frees:
                dying.setdefault(position, []).append(died)
            for position in range(-1, len(scope.nodes)):
                node = scope.nodes[position] if position >= 0 else None
                if isinstance(node, RecordedOp):
                    alive |= {(node, a) for a in range(len(node.allocs))}
                elif node is not None:
                    for instance in node.instances:
                        located = next(
                            (
                                self.where.get(n)
                                for n in instance.scope.nodes
                                if isinstance(n, RecordedOp)
                            ),
                            None,
                        )
                        collect(
                            instance.scope,
                            located[0] if located else None,
                            (*inside, instance),
                            alive,
                        )
                for died in dying.get(position, ()):
                    alive.discard((died.op, died.alloc))
                    where = self.where.get(died.op)
                    if where is None or path is None:
                        continue
                    owner = self.of_instance[died.op]
                    previous = (
                        owner is not None and owner not in inside and len(where[0]) <= len(path)
                    )
                    frees.setdefault(path, {})[
                        Free(position, where[0], where[1], died.alloc, previous)
                    ] = None
                if path is not None and dying.get(position):
                    survived.update(
                        (path, position, where, alloc)
                        for op, alloc in alive
                        if (where := self.where.get(op)) is not None
                    )

        for s in scopes:
            collect(s, (), (), set())
        for path, more in _implied(frees, survived).items():
            frees[path] |= more

        def attach(scope: Scope, path: Path) -> Scope:
            nodes = tuple(
                n
                if isinstance(n, Op)
                else Loop(
                    n.site, n.choices, {k: attach(b, (*path, (i, *k))) for k, b in n.bodies.items()}
                )
                for i, n in enumerate(scope.nodes)
            )
            return Scope(nodes, tuple(sorted(frees.get(path, {}), key=lambda f: f.position)))

        return attach(root, ())


def _implied(
    frees: dict[Path, dict[Free, None]], survived: set[tuple[Path, int, Location, int]]
) -> dict[Path, dict[Free, None]]:
    """Deaths that no run had because its guards never met so.

    Two storages that died at the same point hold the same variable at different times: where one dies, the other would, unless a run saw it survive.
    survived: (scope, position, operator, allocation) of what was alive after a point at which something died.
    """
    points: dict[tuple[Path, int], list[Free]] = {}
    deaths: dict[tuple[Location, int], list[tuple[Path, int]]] = {}
    for path, found in frees.items():
        for f in found:
            points.setdefault((path, f.position), []).append(f)
            deaths.setdefault(((f.path, f.op), f.alloc), []).append((path, f.position))
    implied: dict[Path, dict[Free, None]] = {}
    for storage, at in deaths.items():
        if len(at) == 1 and len(points[at[0]]) == 1:
            continue
        siblings = {((f.path, f.op), f.alloc) for point in at for f in points[point]} - {storage}
        for path, position in {point for s in siblings for point in deaths[s]} - set(at):
            if path and (path, position, *storage) not in survived:
                implied.setdefault(path, {})[Free(position, *storage[0], storage[1])] = None
    return implied


def _family(names: Sequence[str], choices: Sequence[int]) -> str | None:
    """What the names have in common: the name, or the name with the part that is the choice in every one replaced by "*"; None for neither."""
    if len(set(names)) == 1:
        return names[0]
    split = [name.split(".") for name in names]
    for at in reversed(range(len(split[0]))):
        common = {
            (*parts[:at], "*", *parts[at + 1 :]) if parts[at : at + 1] == [str(c)] else None
            for parts, c in zip(split, choices, strict=True)
        }
        if len(common) == 1 and (found := common.pop()) is not None:
            return ".".join(found)
    return None


def _same_weights(column: list[RecordedOp], choices: list[int]) -> bool:
    kinds = zip(*([t.weight for t in (*op.inputs, *op.outputs)] for op in column), strict=True)
    return all(_family(names, choices) is not None for names in kinds)


def _kind(op: RecordedOp) -> tuple[object, ...]:
    """What must be equal in all runs."""

    def tensor(t: RecordedTensor) -> tuple[object, ...]:
        return (len(t.shape), t.dtype)

    params = () if elementwise(op.name) else op.params  # how operands lie may depend on their sizes
    return (
        op.name,
        tuple(map(tensor, op.inputs)),
        tuple(map(tensor, op.outputs)),
        params,
        op.site,
        op.view,
        op.sync,
        len(op.allocs),
    )


def _difference(scopes: list[RunScope]) -> str:
    """Where the streams part, for the message."""
    names = [
        [n.name if isinstance(n, RecordedOp) else f"[{n.site}]" for n in s.nodes] for s in scopes
    ]
    for i, column in enumerate(zip(*names, strict=False)):
        if len(set(column)) > 1:
            return f"they part at operator {i}: {', '.join(sorted(set(column)))}"
    return "one goes on where another ends"


def fit_dim(values: tuple[int, ...], samples: Sequence[Sample]) -> Dim | None:
    """The simplest form that gives every value exactly; None where there is none.

    values: the size in each run; samples: the variables of each run. A form with an added constant needs three different values of its variable
    (two where the constant is 1: one spare row).
    """
    if len(set(values)) == 1:
        return Dim(values[0])
    names = [
        n
        for n in ("rows", "outer", "rest", "hits", "capacity", "batch", "seq", "total")
        if n in samples[0]
    ]
    products = [c for size in (1, 2, 3) for c in combinations(names, size)]
    with_constant = None
    for product in products:
        v = [_product(s, product) for s in samples]
        low, high = v.index(min(v)), v.index(max(v))
        if v[low] == v[high]:
            continue
        coef, rest = divmod(values[high] - values[low], v[high] - v[low])
        plus = values[low] - coef * v[low]
        if rest or any(coef * x + plus != y for x, y in zip(v, values, strict=True)):
            continue
        power = sum(1 << VARIABLES.index(n) for n in product)
        if plus == 0:
            return Dim(0, coef, power)
        if with_constant is None and len(set(v)) >= (2 if plus == 1 else 3) and len(product) == 1:
            with_constant = Dim(plus, coef, power)
    return with_constant


def _product(sample: Sample, names: tuple[str, ...]) -> int:
    value = 1
    for n in names:
        value *= sample[n]
    return value
