"""DeiT-S/16 with token merging, 13 tokens a block."""

from __future__ import annotations

from condsim.catalogue.parts.base import model

model(
    name="tome-deit-s16",
    title="DeiT-S/16 with ToMe, r = 13",
    form="merging_vit",
    config={"layers": 12, "width": 384, "heads": 6, "merged": 13},
    parameters=0.0221e9,
    source="Bolya et al., 2023, table 4 (79.4 % of ImageNet); timm, deit_small_patch16_224",
    licence="Apache 2.0",
    routing="facebookresearch/ToMe, tome/merge.py: r tokens, at most half of those that may",
    rivals={"deit-s16": "the same transformer with all of its tokens (79.8 % of ImageNet)"},
)
