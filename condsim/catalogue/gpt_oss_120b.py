"""gpt-oss-120b: 128 experts a layer, a token takes 4; every other layer sees 128 positions."""

from __future__ import annotations

from condsim.catalogue.parts.base import model

model(
    name="gpt-oss-120b",
    title="gpt-oss-120b",
    model_type="gpt_oss",
    config={
        "hidden_size": 2880,
        "intermediate_size": 2880,
        "num_hidden_layers": 36,
        "num_attention_heads": 64,
        "num_key_value_heads": 8,
        "head_dim": 64,
        "num_local_experts": 128,
        "num_experts_per_tok": 4,
        "vocab_size": 201_088,
        "sliding_window": 128,
    },
    parameters=116.8e9,
    source="huggingface.co/openai/gpt-oss-120b, config.json",
    licence="Apache-2.0",
    routing="olmoe",
    rivals={
        "qwen3-32b": "like quality, as far as benchmarks of different authors tell",
        "qwen3-4b": "like active parameters: 5.1e9 of 116.8e9",
    },
)
