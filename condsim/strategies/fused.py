"""One fused mixture-of-experts kernel a projection, as vLLM's Triton `fused_experts` runs it: rows are sorted by expert, never copied.

Its operators: top-k of the router's logits, sorting rows by expert (two kernels), both projections on rows taken by their index (experts that are
elsewhere write zeros), the activation between them, and the sum over a row's experts.
Source: github.com/vllm-project/vllm, vllm/model_executor/layers/fused_moe/fused_moe.py.
"""

from __future__ import annotations

from condsim.program import Dim, Op, Tensor
from condsim.strategies import STRATEGIES, Strategy

FUSED = STRATEGIES.register("fused")(Strategy("fused", ("moe",), kinds=("gpu",)))


def top_k_softmax(rows: Dim, experts: int, top_k: int, site: str, module: str) -> Op:
    """Logits [rows, experts] → weights and ids [rows, top_k], one kernel."""
    chosen = (rows, Dim(top_k))
    return Op("topk_softmax", (Tensor((rows, Dim(experts)), "float"),), (Tensor(chosen, "float"), Tensor(chosen, "int32")), (), f"router:{site}", "", module)


def fused_experts(rows: Dim, top_k: int, first: Tensor, second: Tensor, gated: bool, site: str, module: str) -> tuple[Op, ...]:
    """The operators of the experts.

    rows: tokens. first: weights [experts here, (2 *) inner, hidden]; second: [experts here, hidden, inner]; gated: whether the first holds two matrices.
    """
    hidden, inner = second.dims[1], second.dims[2]
    wide = first.dims[1]
    routed = Dim(rows.plus * top_k, rows.coef * top_k, rows.power)
    ids, sorted_ids = Tensor((rows, Dim(top_k)), "int32"), Tensor((routed,), "int32")
    x, up, act, down = (Tensor(d, "float") for d in ((rows, hidden), (routed, wide), (routed, inner), (routed, hidden)))
    return (
        Op("moe_align_block_size", (ids,), (sorted_ids,), (), "", site, module),
        Op("count_and_sort_expert_tokens", (ids,), (sorted_ids,), (), "", site, module),
        Op("fused_moe_mm", (x, first, sorted_ids), (up,), (1,), "", site, module),
        Op("silu_and_mul" if gated else "silu", (up,), (act,), (), "", site, module),
        Op("fused_moe_mm", (act, second, sorted_ids), (down,), (top_k,), "", site, module),
        Op("moe_sum", (Tensor((rows, Dim(top_k), hidden), "float"),), (x,), (), "", site, module),
    )
