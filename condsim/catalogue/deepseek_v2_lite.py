"""DeepSeek-V2-Lite: 64 experts and 2 shared ones in 26 of 27 layers, a token takes 6."""

from __future__ import annotations

from condsim.catalogue.parts.base import model

model(
    name="deepseek-v2-lite",
    title="DeepSeek-V2-Lite",
    model_type="deepseek_v2",
    config={
        "hidden_size": 2048,
        "intermediate_size": 10944,
        "moe_intermediate_size": 1408,
        "num_hidden_layers": 27,
        "num_attention_heads": 16,
        "num_key_value_heads": 16,
        "n_routed_experts": 64,
        "n_shared_experts": 2,
        "num_experts_per_tok": 6,
        "first_k_dense_replace": 1,
        "q_lora_rank": None,
        "kv_lora_rank": 512,
        "qk_nope_head_dim": 128,
        "qk_rope_head_dim": 64,
        "v_head_dim": 128,
        "vocab_size": 102_400,
        "n_group": 1,
        "topk_group": 1,
    },
    parameters=15.7e9,
    source="huggingface.co/deepseek-ai/DeepSeek-V2-Lite, config.json",
    licence="DeepSeek model licence",
    routing="olmoe",
    rivals={
        "llama-3.1-8b": "like quality, as far as benchmarks of different authors tell",
        "llama-3.2-3b": "like active parameters: 2.4e9 of 15.7e9",
    },
)
