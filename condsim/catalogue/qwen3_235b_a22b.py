"""Qwen3-235B-A22B: 128 experts a layer, a token takes 8."""

from __future__ import annotations

from condsim.catalogue.parts.base import model

model(
    name="qwen3-235b-a22b",
    title="Qwen3-235B-A22B",
    model_type="qwen3_moe",
    config={
        "hidden_size": 4096,
        "intermediate_size": 12288,
        "moe_intermediate_size": 1536,
        "num_hidden_layers": 94,
        "num_attention_heads": 64,
        "num_experts": 128,
        "num_experts_per_tok": 8,
        "head_dim": 128,
        "num_key_value_heads": 4,
        "vocab_size": 151_936,
        "norm_topk_prob": True,
    },
    parameters=235.1e9,
    source="huggingface.co/Qwen/Qwen3-235B-A22B, config.json",
    licence="Apache-2.0",
    routing="olmoe",
    rivals={
        "qwen3-32b": "like active parameters: 22e9 of 235e9; the largest dense model of its family",
    },
)
