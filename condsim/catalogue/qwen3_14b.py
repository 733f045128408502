"""Qwen3-14B, dense."""

from __future__ import annotations

from condsim.catalogue.parts.base import model

model(
    name="qwen3-14b",
    title="Qwen3-14B",
    model_type="qwen3",
    config={
        "hidden_size": 5120,
        "intermediate_size": 17408,
        "num_hidden_layers": 40,
        "num_attention_heads": 40,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "vocab_size": 151_936,
        "tie_word_embeddings": False,
    },
    parameters=14.8e9,
    source="huggingface.co/Qwen/Qwen3-14B, config.json",
    licence="Apache-2.0",
)
