"""Programs as plain JSON: tensors and operators are written once and referred to by number."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from condsim.program.model import Dim, Free, Loop, Op, Product, Program, Scope, Tensor


class _Table:
    """Interns values, so that a size that stands a thousand times is written once."""

    def __init__(self) -> None:
        self.rows: list[Any] = []
        self.index: dict[Any, int] = {}

    def __call__(self, value: Any) -> int:
        if value not in self.index:
            self.index[value] = len(self.rows)
            self.rows.append(value)
        return self.index[value]


def to_json(programs: Mapping[str, Program]) -> dict[str, Any]:
    """Plain lists and numbers; tensors and names are written once and referred to by number."""
    tensors, ops = _Table(), _Table()

    def dims(of: tuple[Dim, ...]) -> tuple[tuple[int, int, int], ...]:
        return tuple((d.plus, d.coef, d.power) for d in of)

    def tensor(t: Tensor) -> int:
        return tensors((dims(t.dims), t.dtype, t.weight))

    def scope(s: Scope) -> Any:
        nodes: list[Any] = []
        for n in s.nodes:
            if isinstance(n, Op):
                allocs = tuple(
                    (d.plus, d.coef, d.power, t) if isinstance(d, Dim) else (dims(d.dims), t)
                    for d, t in n.allocs
                )
                reads, writes = tuple(map(tensor, n.inputs)), tuple(map(tensor, n.outputs))
                nodes.append(
                    ops(
                        (
                            n.name,
                            reads,
                            writes,
                            n.params,
                            n.role,
                            n.site,
                            n.module,
                            n.entered,
                            n.instructions,
                            n.view,
                            n.sync,
                            allocs,
                        )
                    )
                )
            else:
                nodes.append(
                    [n.site, n.choices, [[*key, scope(body)] for key, body in n.bodies.items()]]
                )
        return [nodes, [[f.position, f.path, f.op, f.alloc, int(f.previous)] for f in s.frees]]

    body = {
        k: {
            "strategy": p.strategy,
            "regime": p.regime,
            "root": scope(p.root),
            "flagged": p.flagged,
            "probed": p.probed,
            "periods": p.periods,
        }
        for k, p in programs.items()
    }
    return {"tensors": tensors.rows, "operators": ops.rows, "programs": body}


def from_json(data: Mapping[str, Any]) -> dict[str, Program]:
    """The inverse of `to_json`. Raises KeyError, IndexError, TypeError or ValueError where the data is not of that form."""
    tensors = [
        Tensor(tuple(Dim(*d) for d in dims), dtype, weight)
        for dims, dtype, weight in data["tensors"]
    ]
    ops = [
        Op(name, tuple(tensors[i] for i in ins), tuple(tensors[i] for i in outs), tuple(params), role, site, module, entered, instructions, view, sync,
           tuple((Dim(*a[:3]), a[3]) if len(a) == 4 else (Product(tuple(Dim(*d) for d in a[0])), a[1]) for a in allocs))
        for name, ins, outs, params, role, site, module, entered, instructions, view, sync, allocs in data["operators"]
    ]  # fmt: skip

    def scope(s: Any) -> Scope:
        nodes: list[Op | Loop] = []
        for n in s[0]:
            if isinstance(n, int):
                nodes.append(ops[n])
            else:
                nodes.append(
                    Loop(n[0], tuple(n[1]), {(b[0], b[1], b[2]): scope(b[3]) for b in n[2]})
                )
        frees = tuple(
            Free(f[0], tuple((p[0], p[1], p[2], p[3]) for p in f[1]), f[2], f[3], bool(f[4]))
            for f in s[1]
        )
        return Scope(tuple(nodes), frees)

    return {
        k: Program(
            p["strategy"],
            p["regime"],
            scope(p["root"]),
            tuple(p["flagged"]),
            tuple(p["probed"]),
            {s: tuple(v) for s, v in p["periods"].items()},
        )
        for k, p in data["programs"].items()
    }
