"""What condsim predicts of a published row.

A prediction uses shapes, the profile and routing statistics alone, and goes through the functions
that every other prediction uses. `RULES` says how each row is described.
"""

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
SATURATED = 64
"""Images a batch. The rows of vision transformers are throughputs at a batch that fills the
device."""
BITS = {
    "MoE": 4.87,
    "1.5B": 5.11,
    "3B": 5.00,
    "7B": 4.92,
    "8B": 4.81,
}
"""Model → bits a parameter: the size of the file that the row names, over the parameters."""


@dataclass(frozen=True)
class Guess:
    """A prediction of a row.

    value: in the unit of the row. speedup: over the row's baseline. Each is None where the row has
    none. missing: why there is no prediction, empty where there is one.
    """

    value: float | None = None
    speedup: float | None = None
    missing: str = ""


def predict(row: Any) -> Guess:
    """Predict a row of measured.csv, given as a named tuple."""
    for pattern, rule in RULES.items():
        if re.match(pattern, row.id):
            return rule(row)
    return Guess(missing="nothing here describes it yet")


def seconds(
    program: Program, profile: HardwareProfile, batch: int, dtype: str, runtime: str = "eager"
) -> float:
    """Return the seconds of one run of a program without sites."""
    one = np.ones(1, int)
    fused = RUNTIMES[runtime].fused(program)
    steps = Steps.rectangular(one * batch, one, one, {})
    return seconds_of(lower(fused, {}, {}, steps), profile, dtype, runtime)


def seconds_of(
    lowered: Lowered, profile: HardwareProfile | str, dtype: str = "fp32", runtime: str = "eager"
) -> float:
    """Return the seconds of the first step of a program that was lowered."""
    device = hardware(profile) if isinstance(profile, str) else profile
    side = Side(lowered, device_model(Target(device, dtype, RUNTIMES[runtime])))
    issued, _ = side.model.issued(side.cost.kernels, 0)
    return float(closed_form.run(issued)[2])


def flops(program: Program) -> float:
    """Return the FLOPs of one image."""
    return sum(op_flops(op, {"batch": 1}) for op in program.root.nodes if isinstance(op, Op))


# Vision transformers

PATCH = {197: 16, 577: 16, 1370: 14}


def vit(shape: str) -> Vit:
    """Read the sizes of a vision transformer from a row's shape."""
    pattern = r"(\d+) layers, d (\d+), (\d+) heads, (\d+) tokens"
    numbers = re.findall(pattern, shape)[0]
    layers, width, heads, tokens = map(int, numbers)
    return Vit(layers, width, heads, tokens, PATCH[tokens])


def merged(row: Any) -> Guess:
    """Predict token merging in fp32, as the source says of its throughputs."""
    model = vit(row.shape)
    r = int(re.findall(r"r=(\d+)", row.routing)[0])
    device = hardware("nvidia-v100-sxm2")
    merging_s = seconds(merging(model, r), device, SATURATED, "fp32")
    dense_s = seconds(dense(model), device, SATURATED, "fp32")
    return Guess(SATURATED / merging_s, dense_s / merging_s)


def pruned(_row: Any) -> Guess:
    """Predict DeiT-S with token pruning on the oldest GPU that has a profile.

    The row says that pruning is slower at batch 1 and faster at batch 32.
    """
    model = Vit(12, 384, 6, 197, 16)
    device = hardware("nvidia-v100-sxm2")
    speedups = []
    for batch in (1, 32):
        dense_s = seconds(dense(model), device, batch, "fp32")
        pruned_s = seconds(pruning(model, 0.7, (3, 6, 9)), device, batch, "fp32")
        speedups.append(float(dense_s / pruned_s))
    return Guess(speedups[0], speedups[1])


# Kernels of mixtures of experts


def random_draws(tokens: int, experts: int, top_k: int) -> list[tuple[int, np.ndarray]]:
    """Return (tokens, rows of each expert) of each draw.

    Each token takes top_k different experts at random, as the benchmarks draw them.
    """
    rng = np.random.default_rng(tokens)
    of_each_token = np.tile(np.arange(experts), (tokens, 1))
    found = []
    for _ in range(DRAWS):
        ids = rng.permuted(of_each_token, axis=1)[:, :top_k]
        found.append((tokens, np.bincount(ids.ravel(), minlength=experts)))
    return found


def layer_seconds(
    layer: Layer, tokens: int, profile: HardwareProfile, dtype: str, only: int | None = None
) -> float:
    """Return the seconds of a layer, the mean over draws.

    only: the place of one kernel of the layer, which is then priced alone. With weights of 8 bits
    the layer's inputs and its inner activations are quantised first, a kernel each (fused_moe.py of
    vLLM and SGLang).
    """
    made = trace(layer, random_draws(tokens, layer.experts, layer.top_k))
    program = made.programs[FUSED]
    nodes = program.root.nodes
    if only is not None:
        nodes = (nodes[only],)
    elif dtype == "fp8":
        nodes = _quantising(nodes)
    changed = dataclasses.replace(program, root=Scope(nodes))
    made = dataclasses.replace(made, programs={**made.programs, FUSED: changed})
    steps = list(range(DRAWS))
    return condsim.simulate(
        made, profile, dtype=dtype, runtime="cuda_graphs", steps=steps
    ).latency_s


def _quantising(nodes: tuple[Op | Scope, ...]) -> tuple[Op | Scope, ...]:
    """Put a kernel that quantises its input before each product of experts."""
    found: list[Op | Scope] = []
    for node in nodes:
        if isinstance(node, Op) and node.name == "fused_moe_mm":
            source = node.inputs[:1]
            found.append(Op("quantize", source, source))
        found.append(node)
    return tuple(found)


def expert_layer(layer: Layer, device: str, dtype: str) -> Callable[[Any], Guess]:
    """Return the rule of a layer on a device, in microseconds."""

    def rule(row: Any) -> Guess:
        took_s = layer_seconds(layer, int(row.batch), hardware(device), dtype)
        return Guess(took_s * 1e6)

    return rule


def first_matmul(row: Any) -> Guess:
    """Predict the third kernel of Mixtral's layer, which is its first product.

    The row's N is one matrix of 14,336 columns.
    """
    layer = Layer(4096, 14336, 8, 2, 8, gated=False)
    took_s = layer_seconds(layer, int(row.batch), hardware("nvidia-h20"), "bf16", only=3)
    return Guess(took_s * 1e6)


# Language models on CPUs


def step_seconds(model: Decoder, device: str, bits: float) -> float:
    """Return the seconds of a decode step with weights of so many bits.

    Such a weight is read like one of 8 bits over a memory that is faster by their ratio, since a
    decode step reads next to nothing beside the weights.
    """
    profile = hardware(device)
    faster = profile.dram.bandwidth.value * 8 / bits
    changed = profile.replace(**{"memory.dram.bandwidth": faster})
    return seconds(decode(model), changed, 1, "int8")


def half_the_experts(model: Decoder) -> Callable[[Any], Guess]:
    """Return the rule of a model that runs half of its experts.

    The source names no width of the weights. 4.9 bits are usual for its tool, and the speedup alone
    is judged.
    """

    def rule(_row: Any) -> Guess:
        with_half = dataclasses.replace(model, experts=model.experts // 2)
        full_s = step_seconds(model, "amd-epyc-9655", 4.9)
        half_s = step_seconds(with_half, "amd-epyc-9655", 4.9)
        return Guess(1 / half_s, full_s / half_s)

    return rule


def against_dense(row: Any) -> Guess:
    """Predict a mixture beside the dense model that the row names."""
    size = re.findall(r"dense ([\d.]+B)", row.baseline)[0]
    mixture_s = step_seconds(QWEN3_30B_A3B, "intel-i7-8700", BITS["MoE"])
    dense_s = step_seconds(DENSE[size], "intel-i7-8700", BITS[size])
    return Guess(1 / mixture_s, dense_s / mixture_s)


# 2:4 sparse weights


def sparse_layer(row: Any) -> Guess:
    """Predict one linear layer with a 2:4 sparse weight, in milliseconds."""
    m, k, n = (int(d) for d in re.findall(r"=(\d+)", row.shape))
    layer, device = Layer24(m, k, n), hardware("nvidia-rtx-3060")
    sparse_s = seconds(layer.program(sparse=True), device, 1, "fp16")
    dense_s = seconds(layer.program(sparse=False), device, 1, "fp16")
    return Guess(sparse_s * 1e3, dense_s / sparse_s)


def sparse_bert(row: Any) -> Guess:
    """Predict BERT with 2:4 sparse weights, in milliseconds.

    The GPU is the one that the tutorial's page is built on, whose printed times the row holds
    (pytorch/tutorials pull 2833: g5.4xlarge, an A10G).
    """
    compiled = "compiled" in row.software
    runtime = "compiled" if compiled else "eager"
    device, batch = hardware("nvidia-a10g"), int(row.batch)
    sparse_s = seconds(bert(True, compiled), device, batch, "fp16", runtime)
    dense_s = seconds(bert(False, compiled), device, batch, "fp16", runtime)
    return Guess(sparse_s * 1e3, dense_s / sparse_s)


def missing(why: str) -> Callable[[Any], Guess]:
    """Return the rule of a row that cannot be predicted."""
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
