"""Qwen1.5-MoE-A2.7B: 60 experts and a shared one a layer, a token takes 4."""

from __future__ import annotations

from condsim.catalogue.parts.base import model

model(
    name="qwen1.5-moe-a2.7b",
    title="Qwen1.5-MoE-A2.7B",
    model_type="qwen2_moe",
    config={
        "hidden_size": 2048,
        "intermediate_size": 5632,
        "moe_intermediate_size": 1408,
        "shared_expert_intermediate_size": 5632,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "num_key_value_heads": 16,
        "num_experts": 60,
        "num_experts_per_tok": 4,
        "vocab_size": 151_936,
    },
    parameters=14.3e9,
    source="huggingface.co/Qwen/Qwen1.5-MoE-A2.7B, config.json",
    licence="Tongyi Qianwen licence",
    routing="olmoe",
    rivals={
        "llama-2-7b": "like quality: its authors compare it with dense models of 7e9",
        "llama-3.2-3b": "like active parameters: 2.7e9 of 14.3e9",
    },
)
