"""Qwen2-57B-A14B: 64 experts and a shared one a layer, a token takes 8."""

from __future__ import annotations

from condsim.catalogue.parts.base import model

model(
    name="qwen2-57b-a14b",
    title="Qwen2-57B-A14B",
    model_type="qwen2_moe",
    config={
        "hidden_size": 3584,
        "intermediate_size": 18944,
        "moe_intermediate_size": 2560,
        "shared_expert_intermediate_size": 20480,
        "num_hidden_layers": 28,
        "num_attention_heads": 28,
        "num_key_value_heads": 4,
        "num_experts": 64,
        "num_experts_per_tok": 8,
        "vocab_size": 151_936,
    },
    parameters=57.4e9,
    source="huggingface.co/Qwen/Qwen2-57B-A14B, config.json",
    licence="Apache-2.0",
    routing="olmoe",
    rivals={
        "qwen3-32b": "like quality: its authors compare it with a dense model of 32e9",
        "qwen3-14b": "like active parameters: 14e9 of 57e9",
    },
)
