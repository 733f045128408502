"""Operators → kernels, as compilers that fuse do.

Runs of elementwise operators along the data flow become one kernel, and join the product before
them. An operator joins the kernel before it where it is the only reader of that kernel's result:
it comes next (views aside) in the same scope, reads a tensor of the result's sizes, and the
result's storage dies with it. What is between them then never exists. A kernel that begins with a
product takes elementwise operators only; another one may also hold normalisations and reductions.

Not true for a result that several operators read (compilers may compute it twice), nor for
products that take in what comes before them.
Source: the rules that TorchInductor and XLA share (docs.pytorch.org, "torch.compiler";
openxla.org/xla, "GPU and TPU architecture": producer-consumer fusion of elementwise operators and
reductions, and elementwise epilogues of dots and convolutions).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace

from condsim.program import JOINED, Dim, Loop, Op, Program, Scope, Tensor
from condsim.program.model import Path
from condsim.program.operators import (
    fuses_elementwise,
    is_epilogue,
    is_product,
    looks_up_rows,
    reduces_inward,
    synchronises,
)

STACK_DIMS = 3
"""Dimensions of a stack of matrices."""

NOTHING = Dim(0)

Sizes = tuple[tuple[Dim, ...], str]
"""(dimensions, dtype) of a tensor."""

Rule = Callable[[Op, Op], bool]
"""(first operator of a kernel, operator) → whether the operator may join the kernel."""


def kind(op: Op) -> str:
    """Return "product", "elementwise", "inward" (normalisations and reductions), or "" for an
    operator that stays alone."""
    if is_product(op.name):
        return "product"
    if synchronises(op.name, len(op.inputs)):
        return ""
    if fuses_elementwise(op.name):
        return "elementwise"
    return "inward" if reduces_inward(op.name) else ""


def fuse_producer_consumer(head: Op, op: Op) -> bool:
    """Whether compilers that write their own kernels let an operator join."""
    if kind(op) == "inward":
        return kind(head) != "product"
    return kind(op) == "elementwise"


def fuse_non_matmul(head: Op, op: Op) -> bool:
    """Whether an operator may join where products are a library's, as TorchInductor does on a
    CPU."""
    return kind(head) != "product" and kind(op) in ("elementwise", "inward")


def fuse_epilogue(head: Op, op: Op) -> bool:
    """Whether an operator is an epilogue that a library's product comes with: all that an
    interpreter of graphs joins."""
    return kind(head) == "product" and is_epilogue(op.name)


def fuse(program: Program, rule: Rule = fuse_producer_consumer) -> Program:
    """Return the program with its operators joined.

    A kernel stands where its first operator stood; the others stay as views of what they read and
    write, so that places in the program keep their numbers.
    """
    return replace(program, root=_fused_scope(program.root, (), rule))


def drop_weight_gathers(program: Program) -> Program:
    """Return the program without the copies of weights that products of single rows or columns
    read.

    TorchInductor computes such a product as a sum, which is a kernel that looks the weights up
    itself. Source: PyTorch, torch/_inductor/decomposition.py, bmm on a CPU.
    """
    return replace(program, root=_without_gathers(program.root))


def begins_kernel(op: Op) -> bool:
    """Whether a kernel may begin with an operator."""
    if op.view or op.sync:
        return False
    return bool(kind(op)) and len(op.outputs) == 1


# Weights that are looked up


def _without_gathers(scope: Scope) -> Scope:
    nodes = list(scope.nodes)
    for position, node in enumerate(nodes):
        if isinstance(node, Loop):
            bodies = {}
            for key, body in node.bodies.items():
                bodies[key] = _without_gathers(body)
            nodes[position] = Loop(node.site, node.choices, bodies)
        elif _copies_matrices(node) and _single_rows_read(nodes, position, node):
            nodes[position] = replace(_joined_view(node, ()), outputs=node.outputs)
    return Scope(tuple(nodes), scope.frees)


def _copies_matrices(op: Op) -> bool:
    """Whether an operator copies matrices out of a stack of weights."""
    if not looks_up_rows(op.name):
        return False
    source = op.inputs[0]
    return len(source.dims) == STACK_DIMS and bool(source.weight)


def _single_rows_read(nodes: list[Op | Loop], position: int, op: Op) -> bool:
    """Whether a batched product with one row or one column reads an operator's result first."""
    if len(op.outputs[0].dims) < STACK_DIMS:
        return False
    *stack, rows, columns = op.outputs[0].dims
    stored = (*stack, rows, columns)
    transposed = (*stack, columns, rows)
    as_read = (stored, transposed)
    for reader in nodes[position + 1 :]:
        if isinstance(reader, Loop):
            return False
        reads = any(tensor.dims in as_read for tensor in reader.inputs)
        if reads and not reader.view:
            single = Dim(1) in reader.outputs[0].dims[-2:]
            return reader.name in ("bmm", "matmul") and single
    return False


# Kernels


def _fused_scope(scope: Scope, path: Path, rule: Rule) -> Scope:
    nodes = list(scope.nodes)
    deaths = {}
    for free in scope.frees:
        if free.path == path and not free.previous:
            deaths[free.op, free.alloc] = free.position
    position = 0
    while position < len(nodes):
        node = nodes[position]
        if isinstance(node, Loop):
            bodies = {}
            for key, body in node.bodies.items():
                path_of_body = (*path, (position, *key))
                bodies[key] = _fused_scope(body, path_of_body, rule)
            nodes[position] = Loop(node.site, node.choices, bodies)
        elif begins_kernel(node):
            members = _Chain(nodes, deaths, rule).members(position, node)
            if len(members) > 1:
                _write_kernel(nodes, members)
            position = members[-1]
        position += 1
    return Scope(tuple(nodes), scope.frees)


@dataclass(frozen=True)
class _Chain:
    """Follows the data flow from an operator on.

    deaths: (node, allocation) → the node after which that storage dies.
    """

    nodes: list[Op | Loop]
    deaths: dict[tuple[int, int], int]
    rule: Rule

    def members(self, first: int, head: Op) -> list[int]:
        """Return the nodes of the kernel that begins at a node."""
        members = [first]
        owner = first  # of the storage that the kernel's result is in
        while True:
            following = self._following(members[-1], through_views=kind(head) != "product")
            if following is None:
                return members
            position, sizes = following
            op = self._operator(position)
            if not self._may_join(head, op):
                return members
            activations = [tensor for tensor in op.inputs if not tensor.weight]
            reads_result = any(_sizes(tensor) in sizes for tensor in activations)
            if not reads_result or (op.allocs and not self._dies(owner, position)):
                return members
            members.append(position)
            if op.allocs:
                owner = position

    def _may_join(self, head: Op, op: Op) -> bool:
        if not self.rule(head, op) or op.sync or len(op.outputs) != 1:
            return False
        if (op.role, op.site) != (head.role, head.site):
            return False
        if kind(head) != "product":
            return True
        return op.outputs[0].dims == head.outputs[0].dims

    def _dies(self, owner: int, position: int) -> bool:
        """Whether the only storage of an operator dies with the operator at `position`."""
        one = len(self._operator(owner).allocs) == 1
        return one and self.deaths.get((owner, 0)) == position

    def _following(self, position: int, through_views: bool) -> tuple[int, set[Sizes]] | None:
        """Return the next kernel, and the sizes that a result has by then, seen through views;
        None at the end of the scope and before a loop."""
        sizes = {_sizes(self._operator(position).outputs[0])}
        for later in range(position + 1, len(self.nodes)):
            node = self.nodes[later]
            if isinstance(node, Loop):
                return None
            if not node.view:
                return later, sizes
            if through_views and any(_sizes(t) in sizes for t in node.inputs):
                sizes |= {_sizes(t) for t in node.outputs}
        return None

    def _operator(self, position: int) -> Op:
        op = self.nodes[position]
        assert isinstance(op, Op)
        return op


def _sizes(tensor: Tensor) -> Sizes:
    return tensor.dims, tensor.dtype


def _write_kernel(nodes: list[Op | Loop], members: list[int]) -> None:
    """Put a kernel in place of its first operator: it reads what its operators read from outside,
    and writes what the last one writes."""
    ops = []
    for position in members:
        op = nodes[position]
        assert isinstance(op, Op)
        ops.append(op)
    storing = [number for number, op in enumerate(ops) if op.allocs]
    owner = max(storing, default=-1)  # creates the storage that the last operator writes
    for number, (position, op) in enumerate(zip(members, ops, strict=True)):
        if number:
            gone = _joined_view(op, ops[number - 1].outputs)
        else:
            gone = replace(op, inputs=_outer_inputs(ops), outputs=ops[-1].outputs)
        allocs = op.allocs if number == owner else _no_storages(op)
        nodes[position] = replace(gone, allocs=allocs)


def _outer_inputs(ops: list[Op]) -> tuple[Tensor, ...]:
    """What the operators of a kernel read, but for one another's results."""
    inputs = list(ops[0].inputs)
    for before, op in itertools.pairwise(ops):
        others = list(op.inputs)
        result = _sizes(before.outputs[0])
        activations = [t for t in others if not t.weight]
        same = [t for t in activations if _sizes(t) == result]
        taken = same[0] if same else activations[0]
        others.remove(taken)  # else it came through a view
        inputs += others
    return tuple(inputs)


def _joined_view(op: Op, inputs: tuple[Tensor, ...]) -> Op:
    """An operator that became part of another one."""
    name = f"{op.name}{JOINED}"
    return replace(op, name=name, inputs=inputs, params=(), view=True, allocs=_no_storages(op))


def _no_storages(op: Op) -> tuple[tuple[Dim, str], ...]:
    return tuple((NOTHING, dtype) for _, dtype in op.allocs)
