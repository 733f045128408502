"""What others measured elsewhere: the bars, and the regularities that their data show."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks import published
from benchmarks.gpu.layer import Layer
from benchmarks.literature.decoder import DENSE, QWEN3_30B_A3B, QWEN3_CODER_480B, decode
from benchmarks.literature.predict import flops, layer_seconds, seconds, vit
from benchmarks.literature.vit import dense, merging
from condsim.hardware import hardware
from condsim.program import Op, elements

SMALL, LARGE = "12 layers, d 192, 3 heads, 197 tokens", "24 layers, d 1024, 16 heads, 197 tokens"


def test_the_rows_that_can_be_predicted_are() -> None:
    table = published.rows()
    assert len(table) == 45
    known = table[table["missing"] == ""]
    assert len(known) == 43
    assert known["error"].abs().median() < 0.25
    judged = known["direction"][known["direction"] != ""]
    assert (judged == "right").sum() >= 0.75 * len(judged)
    off = known[known["error"].abs() > published.MISS]["id"]
    assert set(off) == set(published.CAUSES)  # each miss has its cause, and no cause is left over


def implied_bandwidth(layer: Layer, tokens: int, device: str) -> float:
    """Bytes of the experts that are expected to be touched, over the time."""
    touched = layer.experts * (1 - (1 - layer.top_k / layer.experts) ** tokens)
    return (
        touched
        * layer.expert_parameters
        * 2
        / layer_seconds(layer, tokens, hardware(device), "bf16")
    )


def test_touched_experts_are_read_at_a_nearly_constant_rate() -> None:
    """Mixtral on an H100.

    Published (vllm-project/vllm pull 24700): 2.45, 2.74, 2.96 and 2.92 TB/s.
    """
    layer = Layer(4096, 7168, 8, 2, 8, gated=True)
    measured = {1: 2.45e12, 4: 2.74e12, 16: 2.96e12, 64: 2.92e12}
    for tokens, rate in measured.items():
        assert implied_bandwidth(layer, tokens, "nvidia-h100-sxm") == pytest.approx(rate, rel=0.12)


def test_faster_than_memory_means_that_l2_had_it() -> None:
    layer, device = Layer(2048, 192, 128, 8, 128, gated=True), hardware("nvidia-l40s")
    peak = device.dram.bandwidth.value
    assert implied_bandwidth(layer, 2, "nvidia-l40s") > peak  # 37 MB of 96 MB
    assert implied_bandwidth(layer, 64, "nvidia-l40s") < peak  # 297 MB


def test_token_merging_gains_what_it_saves_and_loses_at_batch_one() -> None:
    v100 = hardware("nvidia-v100-sxm2")
    for shape, r, batch_one_gains in ((SMALL, 13, False), (LARGE, 7, True)):
        model = vit(shape)
        saved = flops(dense(model)) / flops(merging(model, r))
        gained = {
            b: seconds(dense(model), v100, b, "fp32") / seconds(merging(model, r), v100, b, "fp32")
            for b in (1, 64)
        }
        assert 0.85 < gained[64] / saved < 1.05
        assert (gained[1] > 1) == batch_one_gains


def test_programs_have_the_weights_that_the_models_are_named_after() -> None:
    for model, billions in (
        (QWEN3_30B_A3B, 3.0),
        (QWEN3_CODER_480B, 34.6),
        (DENSE["1.5B"], 1.5),
        (DENSE["7B"], 7.1),
        (DENSE["8B"], 7.6),
    ):
        read = sum(
            elements(t.shape({}))
            for op in decode(model).root.nodes
            if isinstance(op, Op)
            for t in op.inputs
            if t.weight and len(t.dims) == 2
        )
        assert read == model.parameters
        assert read / 1e9 == pytest.approx(billions, rel=0.03)
    patched = [
        t
        for op in dense(vit(LARGE)).root.nodes
        if isinstance(op, Op)
        for t in op.inputs
        if t.weight
    ]
    assert sum(elements(t.shape({})) for t in patched) / 1e6 == pytest.approx(
        304, rel=0.01
    )  # ViT-L/16
