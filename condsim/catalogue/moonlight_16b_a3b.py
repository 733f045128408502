"""Moonlight-16B-A3B: 64 experts and 2 shared ones in 26 of 27 layers, a token takes 6."""

from __future__ import annotations

from condsim.catalogue.parts.base import model

model(
    name="moonlight-16b-a3b",
    title="Moonlight-16B-A3B",
    model_type="deepseek_v3",
    config={
        "hidden_size": 2048,
        "intermediate_size": 11264,
        "moe_intermediate_size": 1408,
        "num_hidden_layers": 27,
        "num_attention_heads": 16,
        "num_key_value_heads": 16,
        "n_routed_experts": 64,
        "n_shared_experts": 2,
        "num_experts_per_tok": 6,
        "first_k_dense_replace": 1,
        "n_group": 1,
        "topk_group": 1,
        "q_lora_rank": None,
        "kv_lora_rank": 512,
        "vocab_size": 163_840,
    },
    parameters=16e9,
    source="huggingface.co/moonshotai/Moonlight-16B-A3B, config.json",
    licence="MIT",
    routing="deepseek-v3",
    rivals={
        "qwen3-8b": "like quality, as far as benchmarks of different authors tell",
        "llama-3.2-3b": "like active parameters: 2.2e9 of 16e9",
    },
)
