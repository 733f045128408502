"""ViT-L/16 with token merging, 7 tokens a block."""

from __future__ import annotations

from condsim.catalogue.parts.base import model

model(
    name="tome-vit-l16",
    title="ViT-L/16 with ToMe, r = 7",
    form="merging_vit",
    config={"layers": 24, "width": 1024, "heads": 16, "merged": 7},
    parameters=0.304e9,
    source="facebookresearch/ToMe, README.md (84.26 % of ImageNet); timm, vit_large_patch16_224",
    licence="Apache 2.0 (AugReg)",
    routing="facebookresearch/ToMe, tome/merge.py: r tokens, at most half of those that may",
    rivals={
        "vit-b16": "like quality (84.57 % of ImageNet, AugReg)",
        "vit-l16": "the same transformer with all of its tokens (85.82 %)",
    },
)
