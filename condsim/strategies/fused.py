"""One fused mixture-of-experts kernel a projection, as vLLM's Triton `fused_experts` runs it.

Rows are sorted by expert, never copied. The operators are: top-k of the router's logits, sorting
rows by expert (two kernels), both projections on rows taken by their index (experts that are
elsewhere write zeros), the activation between them, and the sum over a row's experts.
Source: github.com/vllm-project/vllm, vllm/model_executor/layers/fused_moe/fused_moe.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from condsim.errors import CondsimError
from condsim.program import JOINED, Dim, Loop, Op, Program, Scope, Tensor
from condsim.strategies.strategy import EXPERTS, STRATEGIES, Strategy

SOFTMAX_OF_ROUTER = ("softmax", "_softmax", "sigmoid", "sum", "div", "div_", "to")
"""Operators of a router that the fused top-k kernel takes in."""


@dataclass(frozen=True)
class FusedExperts:
    """The two projections of a site.

    rows: tokens. first: weights [experts here, (2 *) inner, hidden]; second: [experts here,
    hidden, inner]. gated: the first holds two matrices.
    """

    rows: Dim
    top_k: int
    first: Tensor
    second: Tensor
    gated: bool
    site: str
    module: str

    def operators(self) -> tuple[Op, ...]:
        """Return the operators of the experts, in order."""
        hidden, inner, wide = self.second.dims[1], self.second.dims[2], self.first.dims[1]
        routed = self.rows * self.top_k
        ids = Tensor((self.rows, Dim(self.top_k)), "int32")
        sorted_ids = Tensor((routed,), "int32")
        x = Tensor((self.rows, hidden), "float")
        up = Tensor((routed, wide), "float")
        act = Tensor((routed, inner), "float")
        down = Tensor((routed, hidden), "float")
        each = Tensor((self.rows, Dim(self.top_k), hidden), "float")
        activation = "silu_and_mul" if self.gated else "silu"
        return (
            self._op("moe_align_block_size", (ids,), sorted_ids),
            self._op("count_and_sort_expert_tokens", (ids,), sorted_ids),
            self._op("fused_moe_mm", (x, self.first, sorted_ids), up, (1,)),
            self._op(activation, (up,), act),
            self._op("fused_moe_mm", (act, self.second, sorted_ids), down, (self.top_k,)),
            self._op("moe_sum", (each,), x),
        )

    def _op(
        self, name: str, inputs: tuple[Tensor, ...], output: Tensor, params: tuple[int, ...] = ()
    ) -> Op:
        return Op(name, inputs, (output,), params, site=self.site, module=self.module)


def top_k_softmax(rows: Dim, experts: int, top_k: int, site: str, module: str) -> Op:
    """Return the kernel from logits [rows, experts] to weights and ids [rows, top_k]."""
    chosen = (rows, Dim(top_k))
    logits = Tensor((rows, Dim(experts)), "float")
    results = (Tensor(chosen, "float"), Tensor(chosen, "int32"))
    return Op("topk_softmax", (logits,), results, role=f"router:{site}", module=module)


def rewritten(program: Program) -> Program:
    """Return a captured program of `grouped` as the fused kernels run it.

    Operators that are no more stand as views that cost nothing, so places keep their numbers.
    Raises CondsimError where a site has no two grouped products.
    """
    return replace(program, strategy="fused", root=_rewritten_scope(program.root))


def _rewritten_scope(scope: Scope) -> Scope:
    nodes: list[Op | Loop] = []
    for node in scope.nodes:
        if isinstance(node, Loop):
            bodies = {key: _rewritten_scope(body) for key, body in node.bodies.items()}
            node = Loop(node.site, node.choices, bodies)
        nodes.append(node)
    sites = dict.fromkeys(node.site for node in nodes if isinstance(node, Op) and node.site)
    for site in sites:
        _fuse_experts(nodes, site)
        _fuse_router(nodes, site)
    return Scope(tuple(nodes), scope.frees)


def _fuse_experts(nodes: list[Op | Loop], site: str) -> None:
    """Put the fused operators where the grouped products, the activation, the first two other
    kernels and the last one of a site stood."""
    ops = _operators(nodes, lambda op: op.site == site)
    places = _places_of_grouped(ops, site)
    first, last = ops[places.products[0]], ops[places.products[-1]]
    tokens, inner = ops[places.last].outputs[0], last.inputs[0]
    rows, routed = tokens.dims[0], first.inputs[0].dims[0]
    top_k = routed.ratio(rows)
    ids = Tensor((rows, Dim(top_k)), "int32")
    sorted_ids = Tensor((routed,), "int32")
    each = Tensor((rows, Dim(top_k), *tokens.dims[1:]), "float")
    up = tuple(ops[place].outputs[0] for place in places.products[:-1])
    fused = {
        places.before[0]: _kernel("moe_align_block_size", (ids,), (sorted_ids,)),
        places.before[1]: _kernel("count_and_sort_expert_tokens", (ids,), (sorted_ids,)),
        places.activation: _kernel("silu_and_mul", up, (inner,)),
        places.last: _kernel("moe_sum", (each,), (tokens,)),
    }
    for place in places.products:
        is_last = place == places.products[-1]
        source = inner if is_last else Tensor((rows, *first.inputs[0].dims[1:]), "float")
        weights = _transposed(ops[place].inputs[1])
        rows_a_token = top_k if is_last else 1
        inputs = (source, weights, sorted_ids)
        fused[place] = _kernel("fused_moe_mm", inputs, ops[place].outputs, (rows_a_token,))
    for place, op in ops.items():
        nodes[place] = _replaced(op, fused[place]) if place in fused else _absorbed(op)


@dataclass(frozen=True)
class _Places:
    """Where the operators of a grouped site stand: the products, the two kernels before them, the
    activation between them, the last kernel."""

    products: list[int]
    before: list[int]
    activation: int
    last: int


def _places_of_grouped(ops: dict[int, Op], site: str) -> _Places:
    kernels = [place for place, op in ops.items() if not op.view]
    products = [place for place in kernels if ops[place].name == "_grouped_mm"]
    before = [place for place in kernels if products and place < products[0]]
    if len(products) < 2 or len(before) < 2 or kernels[-1] <= products[-1]:
        raise CondsimError(
            f"site {site!r} does not run as grouped products, which strategy fused would join"
        )
    between = [place for place in kernels if place < products[-1] and place not in products]
    return _Places(products, before, max(between), kernels[-1])


def _fuse_router(nodes: list[Op | Loop], site: str) -> None:
    """Put one kernel where the top-k and the softmax of the logits stood."""
    ops = _operators(nodes, lambda op: op.role == f"router:{site}")
    top = next((place for place, op in ops.items() if op.name == "topk"), None)
    if top is None:
        return
    for place, op in ops.items():
        if place == top:
            fused = _kernel("topk_softmax", op.inputs[:1], op.outputs)
            nodes[place] = _replaced(op, fused)
        elif op.name in SOFTMAX_OF_ROUTER and not op.view:
            nodes[place] = _absorbed(op)


def _operators(nodes: list[Op | Loop], wanted: Callable[[Op], bool]) -> dict[int, Op]:
    found = {}
    for place, node in enumerate(nodes):
        if isinstance(node, Op) and wanted(node):
            found[place] = node
    return found


def _kernel(
    name: str,
    inputs: tuple[Tensor, ...],
    outputs: tuple[Tensor, ...],
    params: tuple[int, ...] = (),
) -> Op:
    return Op(name, inputs, outputs, params)


def _replaced(op: Op, kernel: Op) -> Op:
    """`kernel` in the place of `op`; no Python runs before it and the host does not wait."""
    return replace(
        op,
        name=kernel.name,
        inputs=kernel.inputs,
        outputs=kernel.outputs,
        params=kernel.params,
        entered=0,
        instructions=0,
        sync=False,
    )


def _absorbed(op: Op) -> Op:
    """`op` as a view that costs nothing and creates nothing."""
    nothing = tuple((Dim(0), dtype) for _, dtype in op.allocs)
    gone = _replaced(op, _kernel(f"{op.name}{JOINED}", (), ()))
    return replace(gone, view=True, allocs=nothing)


def _transposed(weights: Tensor) -> Tensor:
    """Weights [experts, k, n] of a grouped product as [experts, n, k]."""
    experts, k, n = weights.dims
    return replace(weights, dims=(experts, n, k))


STRATEGIES.register("fused")(
    Strategy(
        "fused",
        (EXPERTS,),
        kinds=("gpu",),
        runs={EXPERTS: "grouped"},
        rewrites=rewritten,
        feels_imbalance=True,
    )
)
