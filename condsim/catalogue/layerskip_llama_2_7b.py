"""LayerSkip-Llama-2-7B with exits after 8, 16 and 24 layers."""

from __future__ import annotations

from condsim.catalogue.parts.base import model

model(
    name="layerskip-llama-2-7b",
    title="LayerSkip-Llama-2-7B with exits after 8, 16 and 24 layers",
    form="exit_decoder",
    config={
        "vocabulary": 32000,
        "hidden": 4096,
        "heads": 32,
        "width": 11008,
        "layers": 32,
        "exits": (8, 16, 24),
        "max_seq": 4096,
        "mean_layers": 23.45,
    },
    parameters=6.74e9,
    source="huggingface.co/facebook/layerskip-llama2-7B, config.json; which layers have an exit is "
    "this catalogue's choice: any may have one",
    licence="FAIR research licence",
    routing="Elhoushi et al., 2024, LayerSkip: a token of Llama-7B needs 23.45 of 32 layers on "
    "average, recalled from it",
    rivals={"llama-2-7b": "the same model with all of its layers"},
)
