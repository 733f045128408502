"""Kernels that oneDNN writes for sizes: it keeps the last thousand, so that a case would find those of the cases before."""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F

KEPT = 1024
"""Source: oneDNN, developer guide, "Primitive cache": ONEDNN_PRIMITIVE_CACHE_CAPACITY, the least recently used goes first."""
SIDES = 33


def forget_kernels() -> None:
    """Run as many other sizes as it keeps kernels, so that none is left of what ran before. About half a second; must be used under inference mode."""
    image, weight = torch.ones(2, 4, SIDES, SIDES), torch.ones(4, 4, 3, 3)
    for height, width in itertools.islice(itertools.product(range(1, SIDES + 1), repeat=2), KEPT):
        F.conv2d(image[..., :height, :width].contiguous(), weight, padding=1)
