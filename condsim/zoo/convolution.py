"""Building blocks of the zoo's image models."""

from __future__ import annotations

from torch import nn


def convolution(
    channels_in: int, channels_out: int, stride: int = 1, kernel: int = 3
) -> nn.Sequential:
    """Convolution that keeps the size (over stride), batch normalisation, ReLU."""
    padding = kernel // 2
    product = nn.Conv2d(channels_in, channels_out, kernel, stride, padding, bias=False)
    return nn.Sequential(product, nn.BatchNorm2d(channels_out), nn.ReLU())
