"""Granite-3.1-3B-A800M: 40 experts a layer, a token takes 8."""

from __future__ import annotations

from condsim.catalogue.parts.base import model

model(
    name="granite-3.1-3b-a800m",
    title="Granite-3.1-3B-A800M",
    model_type="granitemoe",
    config={
        "hidden_size": 1536,
        "intermediate_size": 512,
        "num_hidden_layers": 32,
        "num_attention_heads": 24,
        "num_key_value_heads": 8,
        "num_local_experts": 40,
        "num_experts_per_tok": 8,
        "vocab_size": 49155,
        "tie_word_embeddings": True,
    },
    parameters=3.3e9,
    source="huggingface.co/ibm-granite/granite-3.1-3b-a800m-base, config.json",
    licence="Apache-2.0",
    routing="olmoe",
    rivals={
        "llama-3.2-3b": "like total parameters",
        "llama-3.2-1b": "like active parameters: 0.8e9 of 3.3e9",
    },
)
