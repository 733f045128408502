"""Qwen3-30B-A3B: 128 experts a layer, a token takes 8."""

from __future__ import annotations

from condsim.catalogue.parts.base import model

model(
    name="qwen3-30b-a3b",
    title="Qwen3-30B-A3B",
    model_type="qwen3_moe",
    config={
        "hidden_size": 2048,
        "intermediate_size": 6144,
        "moe_intermediate_size": 768,
        "num_hidden_layers": 48,
        "num_attention_heads": 32,
        "num_experts": 128,
        "num_experts_per_tok": 8,
        "head_dim": 128,
        "num_key_value_heads": 4,
        "vocab_size": 151_936,
        "norm_topk_prob": True,
    },
    parameters=30.5e9,
    source="huggingface.co/Qwen/Qwen3-30B-A3B, config.json",
    licence="Apache-2.0",
    routing="olmoe",
    rivals={
        "qwen3-14b": "like quality: the base models are close, by their authors (arXiv 2505.09388)",
        "qwen3-4b": "like active parameters: 3.3e9 of 30.5e9",
    },
)
