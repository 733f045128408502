"""Tiny models of the catalogue, made for tests."""

from __future__ import annotations

from condsim.catalogue import CatalogueModel

SIZES = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 5,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 64,
}
MIXTURE = CatalogueModel(
    name="tiny-mixture",
    title="Tiny mixture",
    model_type="mixtral",
    config={**SIZES, "num_local_experts": 4, "num_experts_per_tok": 2},
    parameters=1e5,
    source="made",
    licence="none",
    routing="mixtral",
    rivals={"tiny-dense": "as wide"},
)
DENSE = CatalogueModel(
    name="tiny-dense",
    title="Tiny dense",
    model_type="llama",
    config=SIZES,
    parameters=4e4,
    source="made",
    licence="none",
)
