"""exit-fashion: an early-exit CNN; an image leaves at the first head that is sure of its class."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from rich.progress import Progress
from torch import nn

import condsim
from condsim.mechanisms.early_exit import EarlyExit
from condsim.zoo.base import ZOO, Knob, ZooModel
from condsim.zoo.convolution import convolution
from condsim.zoo.data import VALIDATION_IMAGES, fashion_training
from condsim.zoo.training import ShuffledBatches, minimise

TOLERANCE = 0.003
"""Accuracy below that of the last exit which the choice of the threshold may cost, on images kept
out of training."""


class Head(nn.Sequential):
    """Class logits [rows, 10] from feature maps."""

    def __init__(self, channels: int) -> None:
        pool = nn.AdaptiveAvgPool2d(1)
        super().__init__(pool, nn.Flatten(), nn.Linear(channels, 10))


@ZOO.register("exit-fashion")
class ExitFashion(ZooModel):
    """Images [batch, 1, 28, 28] → class logits [batch, 10].

    4 stages of about equal cost, each with a head. threshold: softmax confidence at which an image
    leaves.
    """

    mechanism = EarlyExit.name
    data = "images"
    knob = Knob("threshold", (0.6, 0.67, 0.82, 0.9), 0.0, 1.01)
    batch = 128
    steps = 1070

    def __init__(self, threshold: float = 0.9) -> None:
        super().__init__(threshold=threshold)
        self.threshold = threshold
        first = [convolution(1, 24), convolution(24, 40, stride=2), convolution(40, 40)]
        second = [convolution(40, 40), convolution(40, 40)]
        third = [convolution(40, 64, stride=2), convolution(64, 64), convolution(64, 64)]
        fourth = [convolution(64, 96), convolution(96, 96)]
        stages = (first, second, third, fourth)
        self.stages = nn.ModuleList(nn.Sequential(*stage) for stage in stages)
        self.heads = nn.ModuleList(Head(channels) for channels in (40, 40, 64, 96))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self._from(0, images)

    def _from(self, exit: int, x: torch.Tensor) -> torch.Tensor:
        """Class logits of the rows that reach stage `exit`, whichever exit they take."""
        x = self.stages[exit](x)
        if exit == len(self.stages) - 1:
            logits: torch.Tensor = self.heads[exit](x)
            return logits
        out: Any = None

        def decide() -> tuple[torch.Tensor, None, torch.Tensor]:
            nonlocal out
            out = self.heads[exit](x)
            confidence = out.softmax(-1).amax(-1)
            return (confidence < self.threshold).long(), None, confidence

        rows: Any
        condsim.route(f"exit{exit}", self.mechanism, decide, branches=2)
        with condsim.branch(f"exit{exit}", 1) as rows:
            if rows:
                out = rows.put(out, self._from(exit + 1, rows.take(x)))
        result: torch.Tensor = out
        return result

    def every_exit(self, x: torch.Tensor) -> list[torch.Tensor]:
        """The class logits of all exits, for all images."""
        logits: list[torch.Tensor] = []
        for stage, head in zip(self.stages, self.heads, strict=True):
            x = stage(x)
            logits.append(head(x))
        return logits

    @classmethod
    def fit(cls, steps: int, progress: Progress) -> tuple[ZooModel, dict[str, Any]]:
        model = cls().train()
        images, labels, digest = fashion_training()
        batches = ShuffledBatches(len(images) - VALIDATION_IMAGES, cls.batch)

        def loss(step: int) -> torch.Tensor:
            """The sum over all exits."""
            rows = batches(step)
            losses: list[torch.Tensor] = []
            for logits in model.every_exit(images[rows]):
                losses.append(F.cross_entropy(logits, labels[rows]))
            return torch.stack(losses).sum()

        minimise(model.parameters(), loss, steps, progress, "exit-fashion")
        model.eval()
        held_out = slice(-VALIDATION_IMAGES, None)
        threshold = model.choose_threshold(images[held_out], labels[held_out])
        tuned = cls(threshold=threshold)
        tuned.load_state_dict(model.state_dict())
        return tuned.eval(), {"data_sha256": digest, "threshold": threshold}

    @classmethod
    def rivals(cls) -> dict[str, nn.Module]:
        found: dict[str, nn.Module] = {}
        for stages in (1, 2, 3):
            whole = cls()
            head = whole.heads[stages - 1]
            found[f"dense-{stages}-of-4-stages"] = nn.Sequential(*whole.stages[:stages], head)
        return found

    @torch.inference_mode()
    def choose_threshold(self, images: torch.Tensor, labels: torch.Tensor) -> float:
        """The lowest threshold on a grid that keeps the last exit's accuracy, but for TOLERANCE."""
        batches = []
        for batch in torch.split(images, 250):
            exits = self.every_exit(batch)
            batches.append(torch.stack(exits))
        probabilities = torch.cat(batches, 1).softmax(-1)
        confidence, predicted = probabilities.max(-1)  # [exits, images]
        right = predicted == labels
        least_accuracy = right[-1].float().mean() - TOLERANCE
        for percent in range(50, 100):
            sure = confidence >= percent / 100
            sure[-1] = True
            exit_taken = sure.int().argmax(0)
            right_there = right.gather(0, exit_taken[None])
            accuracy = right_there.float().mean()
            if accuracy >= least_accuracy:
                return percent / 100
        return 0.99
