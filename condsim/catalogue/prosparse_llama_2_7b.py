"""ProSparse-Llama-2-7B: ReLU feed-forwards, a tenth of whose neurons fire."""

from __future__ import annotations

from condsim.catalogue.parts.base import model

model(
    name="prosparse-llama-2-7b",
    title="ProSparse-Llama-2-7B with predictors",
    form="sparse_decoder",
    model_type="llama",
    config={
        "hidden_size": 4096,
        "intermediate_size": 11008,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 32,
        "vocab_size": 32000,
        "hidden_act": "relu",
        "predictor_rank": 1024,
        "active": 0.1068,
        "hot": 0.43,
        "hot_holds": 0.8,
    },
    parameters=7.23e9,
    source="huggingface.co/SparseLLM/prosparse-llama-2-7b, config.json; predictors of rank 1024, "
    "estimated",
    licence="Llama 2 licence",
    routing="Song et al., 2024, ProSparse: 89.32 % of activations are zero; how uneven they are is "
    "estimated, after what Song et al., 2023, PowerInfer, say of LLaMA(ReGLU)-70B",
    rivals={"llama-2-7b": "the same model before its activation was replaced: like quality"},
)
