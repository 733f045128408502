"""Kernels that serving engines write by hand: one for a norm, one for rotary positions, one product
for projections of the same rows.

Source: github.com/vllm-project/vllm, vllm/model_executor/layers: `QKVParallelLinear`,
`MergedColumnParallelLinear`, `RMSNorm`, `RotaryEmbedding`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from condsim.program import Dim, Loop, Op, Product, Program, Scope, Tensor
from condsim.program.operators import is_product
from condsim.program.rewrite import absorbed, in_place_of
from condsim.runtimes.fusion import kind

Node = Op | Loop

CONCATENATES = ("cat", "concat")
PROJECTION = "linear"


# Projections of the same rows


def merge_projections(program: Program) -> Program:
    """Return the program with one product in place of those of one module that read the same rows.

    Those behind the module's attention read others.
    """
    nodes = list(program.root.nodes)
    for places in _projections(nodes):
        if len(places) > 1:
            _merge(nodes, places)
    return replace(program, root=Scope(tuple(nodes), program.root.frees))


def _projections(nodes: list[Node]) -> Iterator[list[int]]:
    """Places of projections of the same rows."""
    open_groups: dict[tuple[str, object], list[int]] = {}
    for place, node in enumerate(nodes):
        if isinstance(node, Loop) or node.view:
            continue
        if node.name == PROJECTION and node.inputs[1].weight and not node.role:
            parent = node.module.rpartition(".")[0]
            read = node.inputs[0].dims
            open_groups.setdefault((parent, read), []).append(place)
        elif is_product(node.name) or "attention" in node.name:
            closed = [key for key in open_groups if key[0] == node.module]
            for key in closed:
                yield open_groups.pop(key)
    yield from open_groups.values()


def _operators_at(nodes: list[Node], places: list[int]) -> list[Op]:
    chosen = [nodes[place] for place in places]
    return [node for node in chosen if isinstance(node, Op)]


def _merge(nodes: list[Node], places: list[int]) -> None:
    """Put one product in the place of the first; the others are gone."""
    ops = _operators_at(nodes, places)
    first = ops[0]
    wide = sum(op.inputs[1].dims[0].plus for op in ops)
    rows, weight, *bias = first.inputs
    weights = replace(weight, dims=(Dim(wide), *weight.dims[1:]))
    biases = [replace(one, dims=(Dim(wide),)) for one in bias]
    out = first.outputs[0]
    result = replace(out, dims=(*out.dims[:-1], Dim(wide)))
    allocs = tuple((Product(result.dims), dtype) for _, dtype in first.allocs)
    merged = replace(first, inputs=(rows, weights, *biases), outputs=(result,), allocs=allocs)
    nodes[places[0]] = merged
    for place, op in zip(places[1:], ops[1:], strict=True):
        nodes[place] = absorbed(op)


# Norms, rotary positions, activations


def join_runs(program: Program, caches: frozenset[int]) -> Program:
    """Return the program with one kernel in place of operators of one module, one after the other,
    that neither multiply matrices nor write a cache.

    caches: places of operators that write caches.
    """
    nodes = list(program.root.nodes)
    deaths = {(free.op, free.alloc): free.position for free in program.root.frees if not free.path}
    for run in _runs(nodes, caches):
        if len(run) > 1:
            _join(nodes, run, deaths)
    return replace(program, root=Scope(tuple(nodes), program.root.frees))


def _runs(nodes: list[Node], caches: frozenset[int]) -> Iterator[list[int]]:
    """Places of operators that become one kernel."""
    run: list[int] = []
    module: str | None = None
    for place, node in enumerate(nodes):
        if isinstance(node, Op) and node.view:
            continue
        if isinstance(node, Loop) or place in caches or not _is_pointwise(node):
            yield run
            run, module = [], None
            continue
        if node.module != module:
            yield run
            run, module = [], node.module
        run.append(place)
    yield run


def _is_pointwise(op: Op) -> bool:
    computes_in_order = kind(op) in ("elementwise", "inward") or op.name in CONCATENATES
    decides = op.sync or op.role or op.site
    return computes_in_order and not decides and len(op.outputs) == 1


@dataclass(frozen=True)
class _Traffic:
    """What a kernel reads and writes."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]


def _join(nodes: list[Node], run: list[int], deaths: dict[tuple[int, int], int]) -> None:
    """Put one kernel in the place of the last operator of a run; the others are gone."""
    ops = _operators_at(nodes, run)
    traffic = _traffic(ops, run, deaths)
    for place, op in zip(run[:-1], ops[:-1], strict=True):
        lives = _outlives(place, run, deaths)
        nodes[place] = replace(absorbed(op), allocs=op.allocs) if lives else absorbed(op)
    last = ops[-1]
    kernel = Op(last.name, traffic.inputs, traffic.outputs)
    nodes[run[-1]] = in_place_of(last, kernel)


def _traffic(ops: list[Op], run: list[int], deaths: dict[tuple[int, int], int]) -> _Traffic:
    """What comes from outside of a run, and what outlives it. Sizes tell what is made inside."""
    made: set[tuple[tuple[Dim, ...], str]] = set()
    inputs: list[Tensor] = []
    outputs: list[Tensor] = []
    for place, op in zip(run, ops, strict=True):
        for tensor in op.inputs:
            if (tensor.dims, tensor.dtype) not in made and tensor not in inputs:
                inputs.append(tensor)
        made.update((tensor.dims, tensor.dtype) for tensor in op.outputs)
        if _outlives(place, run, deaths):
            outputs += op.outputs
    return _Traffic(tuple(inputs), tuple(outputs or ops[-1].outputs))


def _outlives(place: int, run: list[int], deaths: dict[tuple[int, int], int]) -> bool:
    """Whether what an operator makes is there after the run."""
    return deaths.get((place, 0), run[-1] + 1) > run[-1]
