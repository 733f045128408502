"""Phi-3.5-MoE: 16 experts a layer, a token takes 2."""

from __future__ import annotations

from condsim.catalogue.parts.base import model

model(
    name="phi-3.5-moe",
    title="Phi-3.5-MoE",
    model_type="phimoe",
    config={
        "hidden_size": 4096,
        "intermediate_size": 6400,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "num_local_experts": 16,
        "num_experts_per_tok": 2,
        "vocab_size": 32064,
        "attention_bias": True,
        "lm_head_bias": True,
        "sliding_window": None,
    },
    parameters=41.9e9,
    source="huggingface.co/microsoft/Phi-3.5-MoE-instruct, config.json",
    licence="MIT",
    routing="mixtral",
    rivals={
        "qwen3-14b": "like quality, as far as benchmarks of different authors tell",
        "llama-3.1-8b": "like active parameters: 6.6e9 of 41.9e9",
    },
)
