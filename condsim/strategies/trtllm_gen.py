"""TensorRT-LLM's kernels for Blackwell, which vLLM and SGLang call there, too: none sorts rows.

One kernel chooses experts and lays out the rows, a product takes rows by their index and applies
the activation to its tiles, a second one multiplies back, and a last one adds up a row's experts.
Each product has the tile that is the fastest: they are tuned at start.
Source: github.com/NVIDIA/TensorRT-LLM, cpp/tensorrt_llm/kernels/trtllmGenKernels/blockScaleMoe
(RoutingRenormalize.cu, runner.cu: routing, permuteGemm1 with its activation, gemm2, finalize).
Not true above some hundred tokens, where routing takes two kernels more.
"""

from __future__ import annotations

from functools import partial

from condsim.hardware import abilities
from condsim.program import Dim, Op, Tensor
from condsim.strategies.fused import Places, kernel, rewritten_as, transposed
from condsim.strategies.strategy import EXPERTS, STRATEGIES, Strategy

NAME = "trtllm_gen"
MAKES_NARROW, NARROW = (1,), (0,)
"""Parameters of a product: whether a kernel before it makes its rows narrow. The second one's are
made so by the activation."""


def _kernels(ops: dict[int, Op], places: Places) -> dict[int, Op]:
    """The kernels of a site, each by the place that it takes."""
    inner = ops[places.products[-1]].inputs[0]
    tokens = ops[places.last].outputs[0]
    routed = ops[places.products[0]].inputs[0].dims[0]
    rows, out = tokens.dims[0], tokens.dims[1:]
    top_k = routed.ratio(rows)
    x = Tensor((rows, *ops[places.products[0]].inputs[0].dims[1:]), "float")
    indices = Tensor((routed,), "int32")
    each = Tensor((rows, Dim(top_k), *out), "float")
    *first, second = places.products
    kernels = {}
    for place in first:
        kernels[place] = _product(ops[place], (x, indices), MAKES_NARROW)
    kernels[second] = _product(ops[second], (inner, indices), NARROW)
    kernels[places.last] = kernel("moe_sum", (each,), (tokens,))
    return kernels


def _product(grouped: Op, rows: tuple[Tensor, Tensor], params: tuple[int, ...]) -> Op:
    """A product of rows, taken by their index, in place of a grouped product."""
    inputs = (rows[0], transposed(grouped.inputs[1]), rows[1])
    return kernel("trtllm_gen_mm", inputs, grouped.outputs, params)


STRATEGIES.register(NAME)(
    Strategy(
        NAME,
        (EXPERTS,),
        needs=(abilities.CUDA,),
        runs={EXPERTS: "grouped"},
        rewrites=partial(rewritten_as, NAME, _kernels),
        feels_imbalance=True,
        weights="mxfp4_mxfp8",
    )
)
