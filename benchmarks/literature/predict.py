"""A published row → what condsim predicts of it, from shapes, profile and routing statistics alone, through the functions that everything else uses."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import condsim
from benchmarks.gpu.layer import Layer, trace
from benchmarks.literature.decoder import DENSE, QWEN3_30B_A3B, QWEN3_CODER_480B, Decoder, decode
from benchmarks.literature.two_four import Layer as Layer24
from benchmarks.literature.two_four import bert
from benchmarks.literature.vit import Vit, dense, merging, pruning
from condsim.cost.cost_model import device_model
from condsim.cost.device import Target
from condsim.engine import closed_form
from condsim.hardware import HardwareProfile, hardware
from condsim.lower import lower
from condsim.lowered import Lowered
from condsim.predict.side import Side
from condsim.program import Op, Program, Scope
from condsim.program.logical import op_flops
from condsim.runtimes import RUNTIMES
from condsim.steps.extents import Steps
from condsim.trace import Trace

DRAWS = 8
FUSED = "fused/prefill-1"
SATURATED = (
    64  # images: the rows of vision transformers are throughputs at a batch that fills the device
)
BITS = {
    "MoE": 4.87,
    "1.5B": 5.11,
    "3B": 5.00,
    "7B": 4.92,
    "8B": 4.81,
}  # bytes of the file that the row names, over the parameters


@dataclass(frozen=True)
class Guess:
    """value: in the unit of the row; speedup: over the row's baseline; both None where the row has none. missing: why there is no prediction."""

    value: float | None = None
    speedup: float | None = None
    missing: str = ""


def predict(row: Any) -> Guess:
    """row: of measured.csv, as a named tuple."""
    rule = next((rule for pattern, rule in RULES.items() if re.match(pattern, row.id)), None)
    return rule(row) if rule else Guess(missing="nothing here describes it yet")


def seconds(
    program: Program, profile: HardwareProfile, batch: int, dtype: str, runtime: str = "eager"
) -> float:
    """Of one run of a program without sites."""
    one = np.ones(1, int)
    how = RUNTIMES[runtime]
    steps = Steps.rectangular(one * batch, one, one, {})
    return seconds_of(lower(how.fused(program), {}, {}, steps), profile, dtype, runtime)


def seconds_of(
    lowered: Lowered, profile: HardwareProfile | str, dtype: str = "fp32", runtime: str = "eager"
) -> float:
    """Of the first step of a program that was lowered."""
    device = hardware(profile) if isinstance(profile, str) else profile
    side = Side(lowered, device_model(Target(device, dtype, RUNTIMES[runtime])))
    issued, _ = side.model.issued(side.cost.kernels, 0)
    return float(closed_form.run(issued)[2])


def flops(program: Program) -> float:
    """Of one image."""
    return sum(op_flops(op, {"batch": 1}) for op in program.root.nodes if isinstance(op, Op))


# --- vision transformers ---------------------------------------------------------------------------------------------------------------

PATCH = {197: 16, 577: 16, 1370: 14}


def vit(shape: str) -> Vit:
    layers, width, heads, tokens = (
        int(n) for n in re.findall(r"(\d+) layers, d (\d+), (\d+) heads, (\d+) tokens", shape)[0]
    )
    return Vit(layers, width, heads, tokens, PATCH[tokens])


def merged(row: Any) -> Guess:
    """fp32, as the source says of its throughputs."""
    model, r = vit(row.shape), int(re.findall(r"r=(\d+)", row.routing)[0])
    took, base = (
        seconds(p, hardware("nvidia-v100-sxm2"), SATURATED, "fp32")
        for p in (merging(model, r), dense(model))
    )
    return Guess(SATURATED / took, base / took)


def pruned(_row: Any) -> Guess:
    """Slower at batch 1, faster at 32: DeiT-S, on the oldest GPU that has a profile."""
    model = Vit(12, 384, 6, 197, 16)
    speedups = [
        np.divide(
            *(
                seconds(p, hardware("nvidia-v100-sxm2"), b, "fp32")
                for p in (dense(model), pruning(model, 0.7, (3, 6, 9)))
            )
        )
        for b in (1, 32)
    ]
    return Guess(float(speedups[0]), float(speedups[1]))


# --- mixture-of-experts kernels --------------------------------------------------------------------------------------------------------


def random_draws(tokens: int, experts: int, top_k: int) -> list[tuple[int, np.ndarray]]:
    """Rows of each expert where each token takes top_k different ones at random, as the benchmarks draw them."""
    rng = np.random.default_rng(tokens)
    ids = [
        rng.permuted(np.tile(np.arange(experts), (tokens, 1)), axis=1)[:, :top_k]
        for _ in range(DRAWS)
    ]
    return [(tokens, np.bincount(i.ravel(), minlength=experts)) for i in ids]


def layer_seconds(
    layer: Layer, tokens: int, profile: HardwareProfile, dtype: str, only: int | None = None
) -> float:
    """The mean over draws. only: one kernel of the layer alone (its place among them).

    With weights of 8 bits the layer's inputs and its inner activations are quantised first, a kernel each (fused_moe.py of vLLM and SGLang).
    """
    made = trace(layer, random_draws(tokens, layer.experts, layer.top_k))
    nodes = made.programs[FUSED].root.nodes
    if only is not None:
        nodes = (nodes[only],)
    elif dtype == "fp8":
        products = [n for n in nodes if isinstance(n, Op) and n.name == "fused_moe_mm"]
        nodes = tuple(
            n
            for node in nodes
            for n in (
                [Op("quantize", node.inputs[:1], node.inputs[:1])] if node in products else []
            )
            + [node]
        )
    made = dataclasses.replace(
        made,
        programs={
            **made.programs,
            FUSED: dataclasses.replace(made.programs[FUSED], root=Scope(nodes)),
        },
    )
    return condsim.simulate(
        made, profile, dtype=dtype, runtime="cuda_graphs", steps=list(range(DRAWS))
    ).latency_s


def expert_layer(layer: Layer, device: str, dtype: str) -> Callable[[Any], Guess]:
    return lambda row: Guess(layer_seconds(layer, int(row.batch), hardware(device), dtype) * 1e6)


def first_matmul(row: Any) -> Guess:
    """Its third kernel is the first product; N is one matrix of 14,336 columns."""
    layer = Layer(4096, 14336, 8, 2, 8, gated=False)
    return Guess(layer_seconds(layer, int(row.batch), hardware("nvidia-h20"), "bf16", only=3) * 1e6)


# --- language models on CPUs -----------------------------------------------------------------------------------------------------------


def step_seconds(model: Decoder, device: str, bits: float) -> float:
    """A weight of so many bits is read like one of 8 over a memory that is faster by their ratio: beside the weights a decode step reads next to nothing."""
    profile = hardware(device)
    faster = profile.replace(**{"memory.dram.bandwidth": profile.dram.bandwidth.value * 8 / bits})
    return seconds(decode(model), faster, 1, "int8")


def half_the_experts(model: Decoder) -> Callable[[Any], Guess]:
    """The source names no width of the weights: 4.9 bits, its tool's usual, and the speedup alone is judged."""

    def rule(_row: Any) -> Guess:
        full, half = (
            step_seconds(m, "amd-epyc-9655", 4.9)
            for m in (model, dataclasses.replace(model, experts=model.experts // 2))
        )
        return Guess(1 / half, full / half)

    return rule


def against_dense(row: Any) -> Guess:
    size = re.findall(r"dense ([\d.]+B)", row.baseline)[0]
    moe, other = (
        step_seconds(QWEN3_30B_A3B, "intel-i7-8700", BITS["MoE"]),
        step_seconds(DENSE[size], "intel-i7-8700", BITS[size]),
    )
    return Guess(1 / moe, other / moe)


# --- 2:4 sparse weights ----------------------------------------------------------------------------------------------------------------


def sparse_layer(row: Any) -> Guess:
    m, k, n = (int(d) for d in re.findall(r"=(\d+)", row.shape))
    took, base = (
        seconds(Layer24(m, k, n).program(sparse), hardware("nvidia-rtx-3060"), 1, "fp16")
        for sparse in (True, False)
    )
    return Guess(took * 1e3, base / took)


def sparse_bert(row: Any) -> Guess:
    """On the GPU that the tutorial's page is built on, whose printed times the row holds (pytorch/tutorials pull 2833: g5.4xlarge, an A10G)."""
    compiled = "compiled" in row.software
    took, base = (
        seconds(
            bert(sparse, compiled),
            hardware("nvidia-a10g"),
            int(row.batch),
            "fp16",
            "compiled" if compiled else "eager",
        )
        for sparse in (True, False)
    )
    return Guess(took * 1e3, base / took)


def missing(why: str) -> Callable[[Any], Guess]:
    return lambda _row: Guess(missing=why)


RULES: dict[str, Callable[[Any], Guess]] = {
    "tome-": merged,
    "dynamicvit": pruned,
    "a100-e64": expert_layer(Layer(2048, 1408, 64, 6, 64, True), "nvidia-a100-sxm-80gb", "bf16"),
    "h200-qwen235": expert_layer(Layer(4096, 192, 128, 8, 128, True), "nvidia-h200-sxm", "fp8"),
    "h20-mixtral": first_matmul,
    "llamacpp-qwen3coder480b": half_the_experts(QWEN3_CODER_480B),
    "llamacpp-qwen3coder30b": half_the_experts(QWEN3_30B_A3B),
    "i7-8700": against_dense,
    "rtx3060-24": sparse_layer,
    "bert-24": sparse_bert,
    "fastbert": missing("the source says neither device nor where its samples leave"),
    "2x3090": missing("two devices, and a hybrid model whose layers are not published there"),
}
"""Beginning of a row's id → its rule."""

__all__ = ["Guess", "Trace", "flops", "layer_seconds", "predict", "seconds"]
