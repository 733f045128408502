"""One fused mixture-of-experts kernel a projection, as vLLM's Triton `fused_experts` runs it: rows are sorted by expert, never copied.

Its operators: top-k of the router's logits, sorting rows by expert (two kernels), both projections on rows taken by their index (experts that are
elsewhere write zeros), the activation between them, and the sum over a row's experts.
Source: github.com/vllm-project/vllm, vllm/model_executor/layers/fused_moe/fused_moe.py.
"""

from __future__ import annotations

from dataclasses import replace

from condsim.errors import CondsimError
from condsim.program import JOINED, Dim, Loop, Op, Program, Scope, Tensor
from condsim.strategies import STRATEGIES, Strategy


def top_k_softmax(rows: Dim, experts: int, top_k: int, site: str, module: str) -> Op:
    """Logits [rows, experts] → weights and ids [rows, top_k], one kernel."""
    chosen = (rows, Dim(top_k))
    return Op(
        "topk_softmax",
        (Tensor((rows, Dim(experts)), "float"),),
        (Tensor(chosen, "float"), Tensor(chosen, "int32")),
        (),
        f"router:{site}",
        "",
        module,
    )


def fused_experts(
    rows: Dim, top_k: int, first: Tensor, second: Tensor, gated: bool, site: str, module: str
) -> tuple[Op, ...]:
    """The operators of the experts.

    rows: tokens. first: weights [experts here, (2 *) inner, hidden]; second: [experts here, hidden, inner]; gated: whether the first holds two matrices.
    """
    hidden, inner = second.dims[1], second.dims[2]
    wide = first.dims[1]
    routed = Dim(rows.plus * top_k, rows.coef * top_k, rows.power)
    ids, sorted_ids = Tensor((rows, Dim(top_k)), "int32"), Tensor((routed,), "int32")
    x, up, act, down = (
        Tensor(d, "float")
        for d in ((rows, hidden), (routed, wide), (routed, inner), (routed, hidden))
    )
    return (
        Op("moe_align_block_size", (ids,), (sorted_ids,), (), "", site, module),
        Op("count_and_sort_expert_tokens", (ids,), (sorted_ids,), (), "", site, module),
        Op("fused_moe_mm", (x, first, sorted_ids), (up,), (1,), "", site, module),
        Op("silu_and_mul" if gated else "silu", (up,), (act,), (), "", site, module),
        Op("fused_moe_mm", (act, second, sorted_ids), (down,), (top_k,), "", site, module),
        Op("moe_sum", (Tensor((rows, Dim(top_k), hidden), "float"),), (x,), (), "", site, module),
    )


def rewritten(program: Program) -> Program:
    """A captured program of `grouped` as the fused kernels run it; operators that are no more stand as views that cost nothing, so places keep their numbers.

    Raises CondsimError where a site has no two grouped products.
    """
    return replace(program, strategy="fused", root=_scope(program.root))


def _scope(scope: Scope) -> Scope:
    nodes = list(scope.nodes)
    for i, node in enumerate(nodes):
        if isinstance(node, Loop):
            nodes[i] = Loop(
                node.site, node.choices, {key: _scope(body) for key, body in node.bodies.items()}
            )
    for site in dict.fromkeys(n.site for n in nodes if isinstance(n, Op) and n.site):
        _site(nodes, site)
        _router(nodes, site)
    return Scope(tuple(nodes), scope.frees)


def _site(nodes: list[Op | Loop], site: str) -> None:
    """Put the fused operators where the grouped products, the activation, the first two other kernels and the last one of a site stood."""
    ours = {i: n for i, n in enumerate(nodes) if isinstance(n, Op) and n.site == site}
    busy = [i for i, op in ours.items() if not op.view]
    products = [i for i in busy if ours[i].name == "_grouped_mm"]
    before = [i for i in busy if products and i < products[0]]
    if len(products) < 2 or len(before) < 2 or busy[-1] <= products[-1]:
        raise CondsimError(
            f"site {site!r} does not run as grouped products, which strategy fused would join"
        )
    first, last = ours[products[0]], ours[products[-1]]
    tokens = ours[busy[-1]].outputs[0]
    rows, routed = tokens.dims[0], first.inputs[0].dims[0]
    top_k = routed.coef // rows.coef if rows.power else routed.plus // rows.plus
    inner = last.inputs[0]
    activation = max(i for i in busy if i < products[-1] and i not in products)
    ids, sorted_ids = Tensor((rows, Dim(top_k)), "int32"), Tensor((routed,), "int32")
    up = tuple(ours[i].outputs[0] for i in products[:-1])
    new: dict[int, tuple[str, tuple[Tensor, ...], tuple[Tensor, ...], tuple[int, ...]]] = {
        before[0]: ("moe_align_block_size", (ids,), (sorted_ids,), ()),
        before[1]: ("count_and_sort_expert_tokens", (ids,), (sorted_ids,), ()),
        activation: ("silu_and_mul", up, (inner,), ()),
        busy[-1]: (
            "moe_sum",
            (Tensor((rows, Dim(top_k), *tokens.dims[1:]), "float"),),
            (tokens,),
            (),
        ),
    }
    for i in products:
        source = Tensor((rows, *first.inputs[0].dims[1:]), "float") if i != products[-1] else inner
        new[i] = (
            "fused_moe_mm",
            (source, _turned(ours[i].inputs[1]), sorted_ids),
            ours[i].outputs,
            (top_k if i == products[-1] else 1,),
        )
    for i, op in ours.items():
        nodes[i] = _as(op, *new[i]) if i in new else _gone(op)


def _router(nodes: list[Op | Loop], site: str) -> None:
    """Top-k and softmax of the logits as one kernel."""
    ours = {i: n for i, n in enumerate(nodes) if isinstance(n, Op) and n.role == f"router:{site}"}
    top = next((i for i, op in ours.items() if op.name == "topk"), None)
    if top is None:
        return
    for i, op in ours.items():
        if i == top:
            nodes[i] = _as(op, "topk_softmax", op.inputs[:1], op.outputs, ())
        elif (
            op.name in ("softmax", "_softmax", "sigmoid", "sum", "div", "div_", "to")
            and not op.view
        ):
            nodes[i] = _gone(op)


def _as(
    op: Op,
    name: str,
    inputs: tuple[Tensor, ...],
    outputs: tuple[Tensor, ...],
    params: tuple[int, ...],
) -> Op:
    return replace(
        op,
        name=name,
        inputs=inputs,
        outputs=outputs,
        params=params,
        entered=0,
        instructions=0,
        sync=False,
    )


def _gone(op: Op) -> Op:
    nothing = tuple((Dim(0), dtype) for _, dtype in op.allocs)
    return replace(
        op,
        name=f"{op.name}{JOINED}",
        inputs=(),
        outputs=(),
        params=(),
        entered=0,
        instructions=0,
        view=True,
        sync=False,
        allocs=nothing,
    )


def _turned(weights: Tensor) -> Tensor:
    """Weights [experts, k, n] of a grouped product as [experts, n, k]."""
    experts, k, n = weights.dims
    return replace(weights, dims=(experts, n, k))


FUSED = STRATEGIES.register("fused")(
    Strategy("fused", ("moe",), kinds=("gpu",), runs={"moe": "grouped"}, rewrites=rewritten)
)
