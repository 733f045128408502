"""Qwen3-8B, dense."""

from __future__ import annotations

from condsim.catalogue.parts.base import model

model(
    name="qwen3-8b",
    title="Qwen3-8B",
    model_type="qwen3",
    config={
        "hidden_size": 4096,
        "intermediate_size": 12288,
        "num_hidden_layers": 36,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "vocab_size": 151_936,
        "tie_word_embeddings": False,
    },
    parameters=8.19e9,
    source="huggingface.co/Qwen/Qwen3-8B, config.json",
    licence="Apache-2.0",
)
