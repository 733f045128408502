"""Operators → kernels, as compilers that fuse do: runs of elementwise operators along the data flow become one, and join the product before them.

On a CPU products are a library's and take nothing in (`beside`), and a product of single rows looks up its weights itself (`looked_up`).

An operator joins the kernel before it where it is the only reader of that kernel's result: it comes next (views aside) in the same scope, reads a tensor
of the result's sizes, and the result's storage dies with it. What is between them then never exists. A kernel that begins with a product takes
elementwise operators only; one that does not may also hold normalisations and reductions.

Not true for what reads a result that others read too (compilers may compute it twice), nor for products that take what comes before them in.
Source: the rules that TorchInductor and XLA share (docs.pytorch.org, "torch.compiler"; openxla.org/xla, "GPU and TPU architecture": producer-consumer
fusion of elementwise operators and reductions, and elementwise epilogues of dots and convolutions).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace

from condsim.program import JOINED, Dim, Loop, Op, Program, Scope, Tensor

ELEMENTWISE = frozenset(
    [
        "abs",
        "add",
        "batch_norm",
        "bitwise_and",
        "bitwise_not",
        "bitwise_or",
        "__and__",
        "__or__",
        "clamp",
        "clamp_max",
        "clamp_min",
        "clone",
        "copy",
        "cos",
        "div",
        "divide",
        "dropout",
        "elu",
        "eq",
        "erf",
        "exp",
        "floor",
        "floor_divide",
        "ge",
        "gelu",
        "greater",
        "greater_equal",
        "gt",
        "hardswish",
        "hardtanh",
        "le",
        "leaky_relu",
        "less",
        "less_equal",
        "log",
        "logical_and",
        "logical_not",
        "logical_or",
        "lt",
        "masked_fill",
        "maximum",
        "minimum",
        "mish",
        "mul",
        "multiply",
        "ne",
        "neg",
        "not_equal",
        "pow",
        "reciprocal",
        "relu",
        "relu6",
        "round",
        "rsqrt",
        "rsub",
        "sigmoid",
        "sign",
        "silu",
        "sin",
        "softplus",
        "sqrt",
        "square",
        "sub",
        "subtract",
        "tanh",
        "to",
        "_to_copy",
        "tril",
        "triu",
        "where",
    ]
)
INWARD = frozenset(
    [
        "adaptive_avg_pool2d",
        "all",
        "amax",
        "amin",
        "any",
        "argmax",
        "argmin",
        "group_norm",
        "layer_norm",
        "log_softmax",
        "_log_softmax",
        "max",
        "mean",
        "min",
        "native_layer_norm",
        "prod",
        "rms_norm",
        "softmax",
        "_softmax",
        "std",
        "sum",
        "var",
    ]
)
PRODUCTS = ("addmm", "bmm", "conv2d", "linear", "matmul", "mm")
LOOKUPS, MATRICES = ("index", "index_select"), 3  # dimensions of matrices in a stack
NOTHING = Dim(0)

EPILOGUES = frozenset(["batch_norm", "add", "relu", "sigmoid", "tanh", "hardswish", "leaky_relu"])

Sizes = tuple[tuple[Dim, ...], str]
Deaths = dict[tuple[int, int], int]  # (node, allocation) → the node after which its storage dies


Rule = Callable[[Op, Op], bool]


def follows(head: Op, op: Op) -> bool:
    """Whether an operator may join the kernel that begins with `head`: what compilers that write their own kernels do."""
    return kind(op) == "elementwise" or (kind(op) == "inward" and kind(head) != "product")


def beside(head: Op, op: Op) -> bool:
    """Whether it may join where products are a library's: what TorchInductor does on a CPU."""
    return kind(head) != "product" and kind(op) in ("elementwise", "inward")


def completes(head: Op, op: Op) -> bool:
    """Whether it is an epilogue that a library's product comes with: all that an interpreter of graphs joins.

    Source: microsoft/onnxruntime, docs on graph optimizations: Conv with batch normalisation, addition and activation, Gemm with activation.
    """
    return kind(head) == "product" and _plain(op) in EPILOGUES


def join(program: Program, rule: Rule = follows) -> Program:
    """The program with its operators joined. A kernel stands where its first operator stood; the others stay as views of what they read and write, so
    that places in the program keep their numbers. rule: (first operator of a kernel, operator) → whether it may join."""
    return replace(program, root=_scope(program.root, (), rule))


def looked_up(program: Program) -> Program:
    """The program without the copies of weights that products of single rows or columns read: TorchInductor computes such a product as a sum, which is a kernel
    that looks the weights up itself. Source: PyTorch, torch/_inductor/decomposition.py, bmm on a CPU."""

    def without(scope: Scope) -> Scope:
        nodes = list(scope.nodes)
        for i, node in enumerate(nodes):
            if isinstance(node, Loop):
                nodes[i] = Loop(
                    node.site,
                    node.choices,
                    {key: without(body) for key, body in node.bodies.items()},
                )
            elif (
                node.name in LOOKUPS
                and len(node.inputs[0].dims) == MATRICES
                and node.inputs[0].weight
                and _of_single_rows(nodes, i)
            ):
                nothing = tuple((NOTHING, dtype) for _, dtype in node.allocs)
                nodes[i] = replace(
                    node,
                    name=f"{node.name}{JOINED}",
                    inputs=(),
                    params=(),
                    view=True,
                    allocs=nothing,
                )
        return Scope(tuple(nodes), scope.frees)

    return replace(program, root=without(program.root))


def _of_single_rows(nodes: list[Op | Loop], at: int) -> bool:
    """Whether what reads the result of an operator first, views aside, is a batched product with one row or one column."""
    op = nodes[at]
    assert isinstance(op, Op)
    if len(op.outputs[0].dims) < MATRICES:
        return False
    *stack, rows, columns = op.outputs[0].dims
    as_read = {(*stack, rows, columns), (*stack, columns, rows)}
    following = (
        n
        for n in itertools.takewhile(lambda n: isinstance(n, Op), nodes[at + 1 :])
        if isinstance(n, Op) and not n.view
    )
    reader = next((n for n in following if any(t.dims in as_read for t in n.inputs)), None)
    return (
        reader is not None
        and reader.name in ("bmm", "matmul")
        and Dim(1) in reader.outputs[0].dims[-2:]
    )


def _scope(scope: Scope, path: tuple[tuple[int, int, int, int], ...], rule: Rule) -> Scope:
    deaths = {(f.op, f.alloc): f.position for f in scope.frees if f.path == path and not f.previous}
    nodes = list(scope.nodes)
    i = 0
    while i < len(nodes):
        node = nodes[i]
        if isinstance(node, Loop):
            bodies = {
                key: _scope(body, (*path, (i, *key)), rule) for key, body in node.bodies.items()
            }
            nodes[i] = Loop(node.site, node.choices, bodies)
        elif begins(node):
            members = _members(nodes, i, deaths, rule)
            if len(members) > 1:
                _rewrite(nodes, members)
            i = members[-1]
        i += 1
    return Scope(tuple(nodes), scope.frees)


def kind(op: Op) -> str:
    """ "product", "elementwise", "inward" (normalisations and reductions), "" for what stays alone."""
    plain = _plain(op)
    if op.name in PRODUCTS:
        return "product"
    if plain == "where" and len(op.inputs) == 1:
        return ""
    return "elementwise" if plain in ELEMENTWISE else "inward" if plain in INWARD else ""


def _plain(op: Op) -> str:
    return op.name.rstrip("_") if not op.name.startswith("_") else op.name


def begins(op: Op) -> bool:
    """Whether a kernel may begin with it."""
    return not op.view and not op.sync and bool(kind(op)) and len(op.outputs) == 1


def _members(nodes: list[Op | Loop], first: int, deaths: Deaths, rule: Rule) -> list[int]:
    """Places of the operators of the kernel that begins at a node."""
    head = nodes[first]
    assert isinstance(head, Op)
    product = kind(head) == "product"
    members, at, owner = [first], first, first  # owner: of the storage that the result is in
    while (found := _next(nodes, at, through_views=not product)) is not None:
        following, sizes = found
        op, holder = nodes[following], nodes[owner]
        assert isinstance(op, Op)
        assert isinstance(holder, Op)
        if (
            not rule(head, op)
            or op.sync
            or len(op.outputs) != 1
            or (op.role, op.site) != (head.role, head.site)
        ):
            break
        if product and op.outputs[0].dims != head.outputs[0].dims:
            break
        dies = len(holder.allocs) == 1 and deaths.get((owner, 0)) == following
        if not any(_sizes(t) in sizes and not t.weight for t in op.inputs) or (
            op.allocs and not dies
        ):
            break
        members.append(following)
        at, owner = following, following if op.allocs else owner
    return members


def _next(nodes: list[Op | Loop], at: int, through_views: bool) -> tuple[int, set[Sizes]] | None:
    """The operator that follows one, views aside, and what sizes its result has by then; None at the end of the scope and before a loop."""
    op = nodes[at]
    assert isinstance(op, Op)
    sizes = {_sizes(op.outputs[0])}
    for i in range(at + 1, len(nodes)):
        node = nodes[i]
        if isinstance(node, Loop):
            return None
        if not node.view:
            return i, sizes
        if through_views and any(_sizes(t) in sizes for t in node.inputs):
            sizes |= {_sizes(t) for t in node.outputs}
    return None


def _sizes(t: Tensor) -> Sizes:
    return t.dims, t.dtype


def _rewrite(nodes: list[Op | Loop], members: list[int]) -> None:
    """Put the kernel in place of its first operator: it reads what its operators read from outside, and writes what the last writes."""
    ops = [n for i in members if isinstance(n := nodes[i], Op)]
    inputs = list(ops[0].inputs)
    for before, op in itertools.pairwise(ops):
        rest = list(op.inputs)
        same = [t for t in rest if not t.weight and _sizes(t) == _sizes(before.outputs[0])]
        rest.remove(
            same[0] if same else next(t for t in rest if not t.weight)
        )  # else it came through a view
        inputs += rest
    kept = (
        max(k for k, op in enumerate(ops) if op.allocs) if any(op.allocs for op in ops) else -1
    )  # of the storage that the last one writes
    for k, (i, op) in enumerate(zip(members, ops, strict=True)):
        allocs = op.allocs if k == kept else tuple((NOTHING, dtype) for _, dtype in op.allocs)
        if k:
            nodes[i] = replace(
                op,
                name=f"{op.name}{JOINED}",
                inputs=ops[k - 1].outputs,
                params=(),
                view=True,
                allocs=allocs,
            )
        else:
            nodes[i] = replace(op, inputs=tuple(inputs), outputs=ops[-1].outputs, allocs=allocs)
