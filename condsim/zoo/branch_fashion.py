"""branch-fashion: a multi-branch CNN; a gate sends each image down a light, a medium or a heavy branch."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from rich.progress import Progress
from torch import nn

import condsim
from condsim.zoo.base import ZOO, ZooModel
from condsim.zoo.convolution import convolution
from condsim.zoo.data import VALIDATION_IMAGES, fashion_training
from condsim.zoo.training import Spread, minimise, shuffled

COST = (0.05, 0.25, 1.0)
"""Cost of a branch as a share of the heavy one's, rounded."""
COST_WEIGHT = 0.2
DENSE_WEIGHT = 0.5
"""Of the loss when every image takes the heavy branch: so that this dense network is trained as well as the one with branches, and is a fair rival."""


@ZOO.register("branch-fashion")
class BranchFashion(ZooModel):
    """Images [batch, 1, 28, 28] → class logits [batch, 10]."""

    mechanism = "multi_branch"
    data = "images"
    steps = 1800

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(convolution(1, 16), convolution(16, 32, stride=2))
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(128, 16), nn.ReLU(), nn.Linear(16, 3)
        )
        self.branches = nn.ModuleList(
            [
                convolution(32, 112, stride=2),
                nn.Sequential(convolution(32, 56, stride=2), convolution(56, 112)),
                nn.Sequential(
                    convolution(32, 72),
                    convolution(72, 112, stride=2),
                    convolution(112, 112),
                    convolution(112, 112),
                ),
            ]
        )
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(112, 10))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = self.stem(images)
        condsim.route("path", "multi_branch", lambda: self.gate(x).argmax(-1), branches=3)
        out: Any = None
        rows: Any
        for choice, branch in enumerate(self.branches):
            with condsim.branch("path", choice) as rows:
                if rows:
                    out = rows.put(out, branch(rows.take(x)))
        logits: torch.Tensor = self.head(out)
        return logits

    @classmethod
    def fit(cls, steps: int, progress: Progress) -> tuple[ZooModel, dict[str, Any]]:
        model = cls().train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # trains in two thirds of the time
        images, labels, digest = fashion_training()
        rows = shuffled(len(images) - VALIDATION_IMAGES, 64)
        spread = Spread(3, centre=0.0, reach=0.5)
        cost = torch.tensor(COST)

        def loss(step: int) -> torch.Tensor:
            """All branches run; a straight-through Gumbel sample picks one, without noise in the last quarter."""
            at = rows(step)
            x = model.stem(images[at])
            gate = 2 * spread(model.gate(x))
            soft = gate.softmax(-1)
            picked = (
                F.gumbel_softmax(gate, hard=True)
                if step < 0.75 * steps
                else F.one_hot(gate.argmax(-1), 3) + soft - soft.detach()
            )
            outputs = [branch(x) for branch in model.branches]
            out = sum(
                (picked[:, b, None, None, None] * output for b, output in enumerate(outputs)),
                torch.zeros(()),
            )
            conditional, dense = (
                F.cross_entropy(model.head(o), labels[at]) for o in (out, outputs[-1])
            )
            value: torch.Tensor = (
                conditional + DENSE_WEIGHT * dense + COST_WEIGHT * (soft * cost).sum(-1).mean()
            )
            return value

        minimise(
            [*model.parameters(), *spread.parameters()],
            loss,
            steps,
            3e-3,
            progress,
            "branch-fashion",
        )
        last = model.gate[-1]
        assert isinstance(last, nn.Linear)
        spread.fold(last)
        return model.eval(), {"data_sha256": digest}
