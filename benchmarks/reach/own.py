"""What some types' configuration classes leave out, hide in parts, or switch off by default."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

GEMMA = {"num_experts": 8, "top_k_experts": 2, "moe_intermediate_size": 16, "per_layer_config": {}}
SMALL_ROPE = {"rope_type": "default", "rope_theta": 10_000.0, "mrope_section": [2, 1, 1]}
WITH_ATTENTION = ["linear_attention", "full_attention"]

OWN: Mapping[str, Mapping[str, Any]] = {
    "dbrx": {
        "attn_config": {"kv_n_heads": 2, "rope_theta": 10_000.0, "clip_qkv": 8.0},
        "ffn_config": {
            "hidden_size": 32,
            "ffn_hidden_size": 16,
            "moe_num_experts": 8,
            "moe_top_k": 2,
        },
    },
    "deepseek_ocr2": {"num_experts_per_tok": 2, "mlp_layer_types": ["dense", "sparse"]},
    "deepseek_v2": {"num_experts_per_tok": 2, "first_k_dense_replace": 1},
    "diffusion_gemma": GEMMA,
    "doge": {"is_moe": True, "num_experts": 16},
    "dots1": {"n_routed_experts": 8, "n_shared_experts": 1, "num_experts_per_tok": 2},
    "ernie4_5_vl_moe": {
        "moe_intermediate_size": [16, 8],
        "head_dim": 8,
        "rope_parameters": {**SMALL_ROPE, "mrope_section": [1, 1, 2]},
    },
    "flint": {"mlp_only_layers": [0]},
    "gemma4": {**GEMMA, "enable_moe_block": True},
    "glm4v_moe": {"rope_parameters": {**SMALL_ROPE, "partial_rotary_factor": 1.0}},
    "granitemoehybrid": {"layer_types": WITH_ATTENTION},
    "hunyuan_v1_moe": {"num_experts": 8, "moe_topk": 2, "head_dim": 8},
    "hy_v4_vl": {"rope_parameters": SMALL_ROPE},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"]},
    "llama4": {"moe_layers": [0, 1], "interleave_moe_layer_step": 1},
    "mistral4": {
        "rope_parameters": {
            **SMALL_ROPE,
            "partial_rotary_factor": 1.0,
            "llama_4_scaling_beta": 0.1,
            "original_max_position_embeddings": 8192,
        }
    },
    "qwen4_exp": {
        "indexer_n_heads": 4,
        "indexer_kv_heads": 1,
        "indexer_head_dim": 8,
        "indexer_budget": 8,
        "indexer_compress_ratio": 2,
        "ple_embed_dim": 32,
        "ngram_vocab_size_base": 128,
        "split_ngram_parts": 2,
    },
    "step3p7": {"sliding_window": 64, "num_sliding_attention_heads": 4},
}
"""Type → fields of its configuration."""
