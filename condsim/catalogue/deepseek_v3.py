"""DeepSeek-V3: 256 experts and a shared one in 58 of 61 layers, a token takes 8."""

from __future__ import annotations

from condsim.catalogue.parts.base import model

model(
    name="deepseek-v3",
    title="DeepSeek-V3",
    model_type="deepseek_v3",
    config={
        "hidden_size": 7168,
        "intermediate_size": 18432,
        "moe_intermediate_size": 2048,
        "num_hidden_layers": 61,
        "num_attention_heads": 128,
        "n_routed_experts": 256,
        "n_shared_experts": 1,
        "num_experts_per_tok": 8,
        "first_k_dense_replace": 3,
        "n_group": 8,
        "topk_group": 4,
        "vocab_size": 129_280,
    },
    parameters=671e9,
    source="huggingface.co/deepseek-ai/DeepSeek-V3, config.json",
    licence="DeepSeek model licence",
    routing="deepseek-v3",
    rivals={
        "llama-3.1-405b": "the dense model that its authors compare it with (arXiv 2412.19437)",
        "qwen3-32b": "like active parameters: 37e9 of 671e9",
    },
)
