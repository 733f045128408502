"""FlexiDepth-Llama-3-8B: a router before each of the last 16 layers lets tokens jump over it."""

from __future__ import annotations

from condsim.catalogue.parts.base import model

model(
    name="flexidepth-llama-3-8b",
    title="FlexiDepth-Llama-3-8B-Instruct",
    form="skipping_decoder",
    model_type="llama",
    config={
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "vocab_size": 128_256,
        "first": 16,
        "router": 256,
        "adapter": 896,
        "skipped": 8,
    },
    parameters=8.24e9,
    source="huggingface.co/xuan-luo/FlexiDepth-Llama-3-8B-Instruct; arXiv 2503.23798 (which layers "
    "may be skipped, and a router and an adapter a sixteenth as wide, are recalled: estimated)",
    licence="Llama 3 licence",
    routing="Luo et al., 2025: 8 of 32 layers are skipped at the quality of all",
    rivals={
        "llama-3.1-8b": "like quality: the architecture that it was made of, with all layers",
        "llama-3.2-3b": "a smaller dense model, for those who give up quality for time",
    },
)
