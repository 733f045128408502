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
from condsim.hardware import abilities
from condsim.program import Dim, Loop, Op, Program, Scope, Tensor
from condsim.program.rewrite import absorbed, in_place_of
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
        wide = self.first.dims[1]
        _, hidden, inner = self.second.dims
        routed = self.rows * self.top_k
        ids = Tensor((self.rows, Dim(self.top_k)), "int32")
        sorted_ids = Tensor((routed,), "int32")
        x = Tensor((self.rows, hidden), "float")
        up = Tensor((routed, wide), "float")
        act = Tensor((routed, inner), "float")
        down = Tensor((routed, hidden), "float")
        each = Tensor((self.rows, Dim(self.top_k), hidden), "float")
        activation = "silu_and_mul" if self.gated else "silu"
        experts = self.first.dims[0].plus
        align = self._op("moe_align_block_size", (ids,), sorted_ids, (experts,))
        sort = self._op("count_and_sort_expert_tokens", (ids,), sorted_ids)
        first = self._op("fused_moe_mm", (x, self.first, sorted_ids), up, (1,))
        activate = self._op(activation, (up,), act)
        second = self._op("fused_moe_mm", (act, self.second, sorted_ids), down, (self.top_k,))
        combine = self._op("moe_sum", (each,), x)
        return align, sort, first, activate, second, combine

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


Kernels = Callable[[dict[int, Op], "Places"], dict[int, Op]]
"""Operators of a site by their places, and the places of its parts → kernels by their places."""


def rewritten(program: Program) -> Program:
    """Return a captured program of `grouped` as the fused kernels run it.

    Operators that are no more stand as views that cost nothing, so places keep their numbers.
    Raises CondsimError where a site has no two grouped products.
    """
    return rewritten_as("fused", _fused_kernels, program)


def rewritten_as(strategy: str, kernels_of: Kernels, program: Program) -> Program:
    """Return a captured program of `grouped` with other kernels at each site.

    Raises CondsimError where a site has no two grouped products.
    """
    root = _rewritten_scope(program.root, kernels_of)
    return replace(program, strategy=strategy, root=root)


def _rewritten_scope(scope: Scope, kernels_of: Kernels) -> Scope:
    nodes: list[Op | Loop] = []
    sites: list[str] = []
    for node in scope.nodes:
        if isinstance(node, Loop):
            node = _rewritten_loop(node, kernels_of)
        elif node.site and node.site not in sites:
            sites.append(node.site)
        nodes.append(node)
    for site in sites:
        _fuse_experts(nodes, site, kernels_of)
        _fuse_router(nodes, site)
    return Scope(tuple(nodes), scope.frees)


def _rewritten_loop(loop: Loop, kernels_of: Kernels) -> Loop:
    bodies = {}
    for key, body in loop.bodies.items():
        bodies[key] = _rewritten_scope(body, kernels_of)
    return Loop(loop.site, loop.choices, bodies)


def _fuse_experts(nodes: list[Op | Loop], site: str, kernels_of: Kernels) -> None:
    """Put the fused operators where the grouped products, the activation, the first two other
    kernels and the last one of a site stood."""
    ops = _operators(nodes, lambda op: op.site == site)
    places = _places_of_grouped(ops, site)
    kernels = kernels_of(ops, places)
    for place, op in ops.items():
        if place in kernels:
            nodes[place] = in_place_of(op, kernels[place])
        else:
            nodes[place] = absorbed(op)


def _fused_kernels(ops: dict[int, Op], places: Places) -> dict[int, Op]:
    """The fused operators of a site, each by the place that it takes."""
    routed_x = ops[places.products[0]].inputs[0]
    inner = ops[places.products[-1]].inputs[0]
    tokens = ops[places.last].outputs[0]
    routed, hidden = routed_x.dims[0], routed_x.dims[1:]
    rows, out = tokens.dims[0], tokens.dims[1:]
    top_k = routed.ratio(rows)
    x = Tensor((rows, *hidden), "float")
    ids = Tensor((rows, Dim(top_k)), "int32")
    sorted_ids = Tensor((routed,), "int32")
    each = Tensor((rows, Dim(top_k), *out), "float")
    align, sort = places.before[:2]
    *first, second = places.products
    up = tuple(ops[place].outputs[0] for place in first)
    kernels = {}
    experts = ops[places.products[0]].inputs[1].dims[0].plus
    kernels[align] = kernel("moe_align_block_size", (ids,), (sorted_ids,), (experts,))
    kernels[sort] = kernel("count_and_sort_expert_tokens", (ids,), (sorted_ids,))
    for place in first:
        kernels[place] = _product(ops[place], x, sorted_ids, 1)
    kernels[places.activation] = kernel("silu_and_mul", up, (inner,))
    kernels[second] = _product(ops[second], inner, sorted_ids, top_k)
    kernels[places.last] = kernel("moe_sum", (each,), (tokens,))
    return kernels


def _product(grouped: Op, rows: Tensor, sorted_ids: Tensor, rows_a_token: int) -> Op:
    """The fused product of rows, taken by their index, in place of a grouped product."""
    weights = transposed(grouped.inputs[1])
    inputs = (rows, weights, sorted_ids)
    return kernel("fused_moe_mm", inputs, grouped.outputs, (rows_a_token,))


@dataclass(frozen=True)
class Places:
    """Where the operators of a grouped site stand: the products, the two kernels before them, the
    activation between them, the last kernel."""

    products: list[int]
    before: list[int]
    activation: int
    last: int


def _places_of_grouped(ops: dict[int, Op], site: str) -> Places:
    kernels = [place for place, op in ops.items() if not op.view]
    products = [place for place in kernels if ops[place].name == "_grouped_mm"]
    before = [place for place in kernels if products and place < products[0]]
    if len(products) < 2 or len(before) < 2 or kernels[-1] <= products[-1]:
        raise CondsimError(
            f"site {site!r} does not run as grouped products, which strategy fused would join"
        )
    others = [place for place in kernels if place not in products]
    activation = max(place for place in others if place < products[-1])
    return Places(products, before, activation, kernels[-1])


def _fuse_router(nodes: list[Op | Loop], site: str) -> None:
    """Put one kernel where the top-k and the softmax of the logits stood."""
    ops = _operators(nodes, lambda op: op.role == f"router:{site}")
    top_ks = [place for place, op in ops.items() if op.name == "topk"]
    if not top_ks:
        return
    for place, op in ops.items():
        if place == top_ks[0]:
            fused = kernel("topk_softmax", op.inputs[:1], op.outputs)
            nodes[place] = in_place_of(op, fused)
        elif op.name in SOFTMAX_OF_ROUTER and not op.view:
            nodes[place] = absorbed(op)


def _operators(nodes: list[Op | Loop], wanted: Callable[[Op], bool]) -> dict[int, Op]:
    found = {}
    for place, node in enumerate(nodes):
        if isinstance(node, Op) and wanted(node):
            found[place] = node
    return found


def kernel(
    name: str,
    inputs: tuple[Tensor, ...],
    outputs: tuple[Tensor, ...],
    params: tuple[int, ...] = (),
) -> Op:
    return Op(name, inputs, outputs, params)


def transposed(weights: Tensor) -> Tensor:
    """Weights [experts, k, n] of a grouped product as [experts, n, k]."""
    experts, k, n = weights.dims
    return replace(weights, dims=(experts, n, k))


STRATEGIES.register("fused")(
    Strategy(
        "fused",
        (EXPERTS,),
        needs=(abilities.CUDA,),
        runs={EXPERTS: "grouped"},
        rewrites=rewritten,
        feels_imbalance=True,
    )
)
