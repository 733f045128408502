"""Qwen3-4B, dense."""

from __future__ import annotations

from condsim.catalogue.parts.base import model

model(
    name="qwen3-4b",
    title="Qwen3-4B",
    model_type="qwen3",
    config={
        "hidden_size": 2560,
        "intermediate_size": 9728,
        "num_hidden_layers": 36,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "vocab_size": 151_936,
        "tie_word_embeddings": True,
    },
    parameters=4.02e9,
    source="huggingface.co/Qwen/Qwen3-4B, config.json",
    licence="Apache-2.0",
)
