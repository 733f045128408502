"""ViT-L/16, dense."""

from __future__ import annotations

from condsim.catalogue.parts.base import model

model(
    name="vit-l16",
    title="ViT-L/16",
    form="merging_vit",
    config={"layers": 24, "width": 1024, "heads": 16},
    parameters=0.304e9,
    source="timm, vit_large_patch16_224 (AugReg)",
    licence="Apache 2.0",
)
