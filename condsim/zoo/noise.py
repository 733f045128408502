"""Noise on the zoo's inputs: what a model meets that it was not trained on.

A spec asks for it as for a setting: `exit-fashion:gaussian=0.5`. Labels and targets stay those of
the clean inputs. Noise is seeded by the number of the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import torch

from condsim.errors import CondsimError
from condsim.registry import Registry
from condsim.zoo.data import DEVIATION, MEAN
from condsim.zoo.example import Example

Spoil = Callable[[torch.Tensor, float, torch.Generator], torch.Tensor]
"""(inputs, how much, random numbers) → noisy inputs."""
BLACK = (0.0 - MEAN) / DEVIATION
"""A pixel of the background, normalised."""
BYTES = 256


@dataclass(frozen=True)
class Noise:
    """A kind of noise. data: what it is for. most: the largest amount. usual: amounts to try."""

    spoil: Spoil
    data: Literal["images", "text"]
    most: float
    usual: tuple[float, ...]


NOISE: Registry[Noise] = Registry("noise")


def gaussian(images: torch.Tensor, amount: float, random: torch.Generator) -> torch.Tensor:
    """Add normal noise; amount: its deviation, of that of the training images' pixels."""
    return images + amount * torch.randn(images.shape, generator=random)


def occlusion(images: torch.Tensor, amount: float, random: torch.Generator) -> torch.Tensor:
    """Hide a square at a random place of each image; amount: pixels a side."""
    side, width = int(amount), images.shape[-1]
    corners = torch.randint(0, width - side + 1, (2, len(images), 1), generator=random)
    place = torch.arange(width)
    inside = (place >= corners) & (place < corners + side)  # [rows and columns, images, width]
    hidden = inside[0, :, :, None] & inside[1, :, None, :]
    return images.masked_fill(hidden.unsqueeze(1), BLACK)


def other_bytes(text: torch.Tensor, amount: float, random: torch.Generator) -> torch.Tensor:
    """Replace bytes by random ones; amount: the share of them."""
    drawn = torch.randint(0, BYTES, text.shape, generator=random)
    chosen = torch.rand(text.shape, generator=random) < amount
    return torch.where(chosen, drawn, text)


NOISE.register("gaussian")(Noise(gaussian, "images", 100.0, (0.2, 0.5)))
NOISE.register("occlusion")(Noise(occlusion, "images", 28.0, (8.0, 14.0)))
NOISE.register("bytes")(Noise(other_bytes, "text", 1.0, (0.05, 0.2)))


def noisy(example: Example, data: str, asked: Mapping[str, float]) -> Example:
    """An example with noise on its inputs. data: "images" or "text". asked: noise → how much.

    Raises CondsimError for noise of other data, and for an amount that makes no sense.
    """
    for name, amount in asked.items():
        noise = NOISE[name]
        if noise.data != data:
            raise CondsimError(f"noise {name!r} is for {noise.data}, {example.name!r} takes {data}")
        if not 0 <= amount <= noise.most:
            raise CondsimError(f"{name} is from 0 to {noise.most:g}, got {amount:g}")
        inputs = []
        for number, batch in enumerate(example.inputs):
            random = torch.Generator().manual_seed(number)
            inputs.append(noise.spoil(batch, amount, random))
        example = replace(example, inputs=inputs)
    return example
