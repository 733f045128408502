"""GLM-4.5-Air: 128 experts and a shared one in 45 of 46 layers, a token takes 8."""

from __future__ import annotations

from condsim.catalogue.parts.base import model

model(
    name="glm-4.5-air",
    title="GLM-4.5-Air",
    model_type="glm4_moe",
    config={
        "hidden_size": 4096,
        "intermediate_size": 10944,
        "moe_intermediate_size": 1408,
        "num_hidden_layers": 46,
        "num_attention_heads": 96,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "n_routed_experts": 128,
        "n_shared_experts": 1,
        "num_experts_per_tok": 8,
        "first_k_dense_replace": 1,
        "n_group": 1,
        "topk_group": 1,
        "vocab_size": 151_552,
        "attention_bias": True,
    },
    parameters=106e9,
    source="huggingface.co/zai-org/GLM-4.5-Air, config.json",
    licence="MIT",
    routing="olmoe",
    rivals={
        "qwen3-32b": "like quality, as far as benchmarks of different authors tell",
        "qwen3-14b": "like active parameters: 12e9 of 106e9",
    },
)
