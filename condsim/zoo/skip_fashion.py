"""skip-fashion: a residual CNN in the manner of SkipNet.

A gate before every block decides for each image whether it enters.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from rich.progress import Progress
from torch import nn

import condsim
from condsim.mechanisms.skip import Skip
from condsim.zoo.base import ZOO, Knob, ZooModel
from condsim.zoo.convolution import convolution
from condsim.zoo.data import VALIDATION_IMAGES, fashion_training
from condsim.zoo.spread import Spread
from condsim.zoo.training import ShuffledBatches, minimise

COST_WEIGHT = 0.15
OPEN_AT_FIRST, OPEN_LATER = 0.75, 0.25
"""Share of a batch's images that enter every block, in the first step and from half of the training
on: so that the network without gates is trained as well as the one with them, and is a fair
rival."""
NOISY_SHARE = 0.75
"""Of the training steps: in these, gates are sampled."""
BLOCKS = 8
SHRINK_BEFORE = 3
"""The block from which on feature maps are 7 x 7."""
WIDE, NARROW = 32, 48
"""Channels of feature maps that are 14 x 14, and 7 x 7."""


class Block(nn.Module):
    """Two convolutions and the residual addition."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = convolution(channels, channels)
        convolved = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.second = nn.Sequential(convolved, nn.BatchNorm2d(channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.relu(x + self.second(self.first(x)))


class Gate(nn.Sequential):
    """One logit an image: [rows, 1]."""

    def __init__(self, channels: int) -> None:
        pool = nn.AdaptiveAvgPool2d(1)
        hidden = nn.Linear(channels, 8)
        score = nn.Linear(8, 1)
        super().__init__(pool, nn.Flatten(), hidden, nn.ReLU(), score)


@ZOO.register("skip-fashion")
class SkipFashion(ZooModel):
    """Images [batch, 1, 28, 28] → class logits [batch, 10].

    3 blocks at 14 x 14, 5 at 7 x 7, each behind a gate. threshold: an image enters whose score is
    above it.
    """

    mechanism = Skip.name
    data = "images"
    knob = Knob("threshold", (-1.0, -0.5, 0.5, 1.0), -100.0, 100.0)
    batch = 64
    steps = 3000

    def __init__(self, threshold: float = 0.0) -> None:
        super().__init__(threshold=threshold)
        self.threshold = threshold
        self.stem = nn.Sequential(convolution(1, 16), convolution(16, WIDE, stride=2))
        self.shrink = convolution(WIDE, NARROW, stride=2)
        channels = by_block(WIDE, NARROW)
        self.blocks = nn.ModuleList(Block(c) for c in channels)
        self.gates = nn.ModuleList(Gate(c) for c in channels)
        pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Sequential(pool, nn.Flatten(), nn.Linear(NARROW, 10))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = self.stem(images)
        for i, block in enumerate(self.blocks):
            if i == SHRINK_BEFORE:
                x = self.shrink(x)
            x = self._maybe(i, block, x)
        logits: torch.Tensor = self.head(x)
        return logits

    def _maybe(self, i: int, block: nn.Module, x: torch.Tensor) -> torch.Tensor:
        """x with block i applied to the images that enter it."""

        def decide() -> tuple[torch.Tensor, None, torch.Tensor]:
            score = self.gates[i](x).squeeze(-1)
            return (score > self.threshold).long(), None, score

        rows: Any
        condsim.route(f"skip{i}", self.mechanism, decide, branches=2)
        with condsim.branch(f"skip{i}", 1) as rows:
            if rows:
                x = rows.put(x, block(rows.take(x)))
        return x

    @classmethod
    def fit(cls, steps: int, progress: Progress) -> tuple[ZooModel, dict[str, Any]]:
        model = cls().train()
        # It trains in two thirds of the time with the channels last.
        model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        images, labels, digest = fashion_training()
        batches = ShuffledBatches(len(images) - VALIDATION_IMAGES, cls.batch)
        spreads = nn.ModuleList()
        for _ in model.blocks:
            spreads.append(Spread(1, centre=0.0, reach=1.0))

        def loss(step: int) -> torch.Tensor:
            rows = batches(step)
            opened = round(len(rows) * open_share(step, steps))
            noisy = step < NOISY_SHARE * steps
            logits, spent = model.gated(images[rows], spreads, opened, noisy)
            of_classes = F.cross_entropy(logits, labels[rows])
            value: torch.Tensor = of_classes + spent
            return value

        parameters = [*model.parameters(), *spreads.parameters()]
        minimise(parameters, loss, steps, progress, "skip-fashion")
        for gate, spread in zip(model.gates, spreads, strict=True):
            assert isinstance(gate, Gate)
            assert isinstance(spread, Spread)
            spread.fold(gate[-1])
        return model.eval(), {"data_sha256": digest}

    @classmethod
    def rivals(cls) -> dict[str, nn.Module]:
        found: dict[str, nn.Module] = {}
        for wide, narrow in ((1, 1), (2, 2)):
            whole = cls()
            before = whole.blocks[:wide]
            after = whole.blocks[SHRINK_BEFORE : SHRINK_BEFORE + narrow]
            dense = nn.Sequential(whole.stem, *before, whole.shrink, *after, whole.head)
            found[f"dense-{wide + narrow}-of-{BLOCKS}-blocks"] = dense
        return found

    def gated(
        self, images: torch.Tensor, spreads: nn.ModuleList, opened: int, noisy: bool
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Class logits, and what the gates let the images spend, as a part of the loss.

        All blocks run; a straight-through sigmoid decides what counts, a Gumbel sample if noisy.
        opened: so many images, the first ones, enter every block.
        """
        x = self.stem(images)
        costs = block_costs()
        spent = torch.zeros(())
        for i, block in enumerate(self.blocks):
            if i == SHRINK_BEFORE:
                x = self.shrink(x)
            logit = self.gates[i](x[opened:])
            score = 2 * spreads[i](logit)
            if noisy:
                uniform = torch.rand_like(score).clamp(1e-6, 1 - 1e-6)
                score = score + uniform.log() - (-uniform).log1p()
            soft = score.sigmoid()
            hard = (score > 0).float()
            straight_through = hard + soft - soft.detach()
            open_gate = torch.ones(opened, 1)
            gate = torch.cat([open_gate, straight_through])
            gate = gate[:, :, None, None]
            x = gate * block(x) + (1 - gate) * x
            spent = spent + costs[i] * soft.mean()
        return self.head(x), spent


def open_share(step: int, steps: int) -> float:
    """The share of a batch's images that enter every block in a training step."""
    fall = (OPEN_AT_FIRST - OPEN_LATER) * 2 * step / steps
    return max(OPEN_LATER, OPEN_AT_FIRST - fall)


def by_block(wide: int, narrow: int) -> list[int]:
    """A number for each block: one where feature maps are 14 x 14, another where they are 7 x 7."""
    narrow_blocks = BLOCKS - SHRINK_BEFORE
    return [wide] * SHRINK_BEFORE + [narrow] * narrow_blocks


def block_costs() -> torch.Tensor:
    """What each block costs in the loss, in proportion to its FLOPs [BLOCKS]."""
    wide_flops = 14**2 * WIDE**2
    narrow_flops = 7**2 * NARROW**2
    flops = by_block(wide_flops, narrow_flops)
    costs = torch.tensor(flops, dtype=torch.float32)
    return COST_WEIGHT * costs / costs.sum()
