"""branch-fashion: a multi-branch CNN.

A gate sends each image down a light, a medium or a heavy branch.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from rich.progress import Progress
from torch import nn

import condsim
from condsim.mechanisms.multi_branch import MultiBranch
from condsim.zoo.base import ZOO, Knob, ZooModel
from condsim.zoo.convolution import convolution
from condsim.zoo.data import VALIDATION_IMAGES, fashion_training
from condsim.zoo.spread import Spread
from condsim.zoo.training import ShuffledBatches, minimise

COST = (0.05, 0.25, 1.0)
"""Cost of a branch as a share of the heavy one's, rounded."""
COST_WEIGHT = 0.2
DENSE_WEIGHT = 0.5
"""Of the loss when every image takes the heavy branch: so that this dense network is trained as
well as the one with branches, and is a fair rival."""
NOISY_SHARE = 0.75
"""Of the training steps: in these the choice of a branch is sampled."""


@ZOO.register("branch-fashion")
class BranchFashion(ZooModel):
    """Images [batch, 1, 28, 28] → class logits [batch, 10].

    lean: how far the gate leans to the costlier branches: it is added to their logits in proportion
    to their cost.
    """

    mechanism = MultiBranch.name
    data = "images"
    knob = Knob("lean", (-3.0, -1.0, 1.0, 3.0), -1000.0, 1000.0)
    batch = 64
    steps = 1800

    def __init__(self, lean: float = 0.0) -> None:
        super().__init__(lean=lean)
        self.lean = lean
        self.stem = nn.Sequential(convolution(1, 16), convolution(16, 32, stride=2))
        pool = nn.AdaptiveAvgPool2d(2)
        hidden = nn.Linear(128, 16)
        score = nn.Linear(16, 3)
        self.gate = nn.Sequential(pool, nn.Flatten(), hidden, nn.ReLU(), score)
        light = convolution(32, 112, stride=2)
        medium = nn.Sequential(convolution(32, 56, stride=2), convolution(56, 112))
        heavy = nn.Sequential(
            convolution(32, 72),
            convolution(72, 112, stride=2),
            convolution(112, 112),
            convolution(112, 112),
        )
        self.branches = nn.ModuleList([light, medium, heavy])
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(112, 10))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = self.stem(images)
        condsim.route("path", self.mechanism, lambda: self._choice(x), branches=3)
        out: Any = None
        rows: Any
        for choice, branch in enumerate(self.branches):
            with condsim.branch("path", choice) as rows:
                if rows:
                    out = rows.put(out, branch(rows.take(x)))
        logits: torch.Tensor = self.head(out)
        return logits

    def _choice(self, x: torch.Tensor) -> torch.Tensor:
        """The branch that each image takes, int64 [batch]. x: feature maps of the stem."""
        scores: torch.Tensor = self.gate(x)
        if self.lean:
            scores = scores + self.lean * torch.tensor(COST)
        return scores.argmax(-1)

    @classmethod
    def fit(cls, steps: int, progress: Progress) -> tuple[ZooModel, dict[str, Any]]:
        model = cls().train()
        # It trains in two thirds of the time with the channels last.
        model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        images, labels, digest = fashion_training()
        batches = ShuffledBatches(len(images) - VALIDATION_IMAGES, cls.batch)
        spread = Spread(3, centre=0.0, reach=0.5)

        def loss(step: int) -> torch.Tensor:
            rows = batches(step)
            noisy = step < NOISY_SHARE * steps
            x, classes = images[rows], labels[rows]
            value: torch.Tensor = model.training_loss(x, classes, spread, noisy)
            return value

        parameters = [*model.parameters(), *spread.parameters()]
        minimise(parameters, loss, steps, progress, "branch-fashion")
        spread.fold(model.gate[-1])
        return model.eval(), {"data_sha256": digest}

    @classmethod
    def rivals(cls) -> dict[str, nn.Module]:
        found: dict[str, nn.Module] = {}
        for number, name in enumerate(("light", "medium")):
            whole = cls()
            dense = nn.Sequential(whole.stem, whole.branches[number], whole.head)
            found[f"dense-{name}-branch"] = dense
        return found

    def training_loss(
        self, images: torch.Tensor, labels: torch.Tensor, spread: Spread, noisy: bool
    ) -> torch.Tensor:
        """All branches run; a straight-through choice picks one, a Gumbel sample if noisy."""
        x = self.stem(images)
        gate = 2 * spread(self.gate(x))
        soft = gate.softmax(-1)
        if noisy:
            picked = F.gumbel_softmax(gate, hard=True)
        else:
            hard = F.one_hot(gate.argmax(-1), 3)
            picked = hard + soft - soft.detach()
        outputs = [branch(x) for branch in self.branches]
        mixed = torch.zeros(())
        for choice, output in enumerate(outputs):
            weight = picked[:, choice, None, None, None]
            mixed = mixed + weight * output
        conditional = F.cross_entropy(self.head(mixed), labels)
        dense = F.cross_entropy(self.head(outputs[-1]), labels)
        cost = (soft * torch.tensor(COST)).sum(-1).mean()
        of_classes = conditional + DENSE_WEIGHT * dense
        loss: torch.Tensor = of_classes + COST_WEIGHT * cost
        return loss
