"""DeiT-S/16, dense."""

from __future__ import annotations

from condsim.catalogue.parts.base import model

model(
    name="deit-s16",
    title="DeiT-S/16",
    form="merging_vit",
    config={"layers": 12, "width": 384, "heads": 6},
    parameters=0.0221e9,
    source="timm, deit_small_patch16_224; Touvron et al., 2021 (79.8 % of ImageNet)",
    licence="Apache 2.0",
)
