"""OLMoE-1B-7B: 64 experts a layer, a token takes 8."""

from __future__ import annotations

from condsim.catalogue.parts.base import model

model(
    name="olmoe-1b-7b",
    title="OLMoE-1B-7B",
    model_type="olmoe",
    config={
        "hidden_size": 2048,
        "intermediate_size": 1024,
        "num_hidden_layers": 16,
        "num_attention_heads": 16,
        "num_key_value_heads": 16,
        "num_experts": 64,
        "num_experts_per_tok": 8,
        "vocab_size": 50304,
    },
    parameters=6.92e9,
    source="huggingface.co/allenai/OLMoE-1B-7B-0924, config.json",
    licence="Apache-2.0",
    routing="olmoe",
    rivals={
        "llama-2-13b": "like quality: above Llama 2 13B Chat, by its authors (arXiv 2409.02060)",
        "llama-3.2-1b": "like active parameters: 1.3e9 of 6.9e9",
    },
)
