"""ViT-B/16, dense."""

from __future__ import annotations

from condsim.catalogue.parts.base import model

model(
    name="vit-b16",
    title="ViT-B/16",
    form="merging_vit",
    config={"layers": 12, "width": 768, "heads": 12},
    parameters=0.0866e9,
    source="timm, vit_base_patch16_224 (AugReg)",
    licence="Apache 2.0",
)
