"""sparse-fashion: LeNet-300-100 trained by RigL, one weight in ten there at any time.

Its masks over the training are kept with its weights.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from rich.progress import Progress
from torch import nn
from torch.nn.utils import prune

from condsim.live.mask_updates import GROWTH, Growth, erdos_renyi, falling_share, move_all
from condsim.live.masks import MASK, MaskHistory, masked_layers
from condsim.mechanisms.dynamic_sparse_training import DynamicSparseTraining
from condsim.zoo.base import TRAININGS, ZooModel
from condsim.zoo.data import VALIDATION_IMAGES, fashion_training
from condsim.zoo.training import ShuffledBatches, learning_rate_factor

PIXELS, CLASSES = 784, 10
BATCH = 128
LEARNING_RATE, MOMENTUM, WEIGHT_DECAY = 0.1, 0.9, 1e-4
UPDATE_EVERY = 100
"""Training steps between two moves of the masks (RigL's Delta T)."""
KEPT_ENTRIES = 24
"""Entries of the history that are kept with the weights, evenly spread over the training."""


@TRAININGS.register("sparse-fashion")
class SparseFashion(ZooModel):
    """Images [batch, 1, 28, 28] → class logits [batch, 10]; the last layer is dense.

    widths: of the hidden layers. density: share of the weights that are there, over all sparse
    layers. growth: "rigl", "set", or "static" for masks that never move. entries: of the history.
    """

    mechanism = DynamicSparseTraining.name
    data = "images"
    batch = example_batch = BATCH
    steps = 6000

    def __init__(
        self,
        widths: tuple[int, ...] = (300, 100),
        density: float = 0.1,
        growth: str = "rigl",
        entries: int = 0,
    ) -> None:
        super().__init__(widths=widths, density=density, growth=growth, entries=entries)
        self.density, self.growth = density, growth
        sizes = (PIXELS, *widths)
        self.hidden = nn.ModuleList(map(nn.Linear, sizes, widths))
        self.head = nn.Linear(widths[-1], CLASSES)
        if density < 1:
            for layer in self.hidden:
                prune.identity(layer, "weight")
        self.register_buffer("iterations", torch.zeros(entries, dtype=torch.int64))
        for number, layer in enumerate(self.hidden):
            assert isinstance(layer, nn.Linear)
            packed = (entries, layer.out_features, -(-layer.in_features // 8))
            self.register_buffer(f"history{number}", torch.zeros(packed, dtype=torch.uint8))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = images.flatten(1)
        for layer in self.hidden:
            x = F.relu(layer(x))
        logits: torch.Tensor = self.head(x)
        return logits

    @property
    def masks(self) -> MaskHistory:
        """The masks over the training."""
        packed = {}
        for number in range(len(self.hidden)):
            packed[f"hidden.{number}"] = self.get_buffer(f"history{number}").numpy()
        columns = {name: layer.in_features for name, layer in masked_layers(self).items()}
        return MaskHistory.unpacked(self.get_buffer("iterations").tolist(), packed, columns)

    @staticmethod
    def optimizer(weights: Any) -> torch.optim.Optimizer:
        return torch.optim.SGD(
            weights, LEARNING_RATE, MOMENTUM, weight_decay=WEIGHT_DECAY, nesterov=True
        )

    def begin(self) -> None:
        """Draw masks at random, denser the smaller a layer is."""
        layers = masked_layers(self)
        shapes = {name: (layer.out_features, layer.in_features) for name, layer in layers.items()}
        densities = erdos_renyi(shapes, self.density)
        for name, layer in layers.items():
            mask = layer.get_buffer(MASK)
            count = round(densities[name] * mask.numel())
            chosen = torch.randperm(mask.numel())[:count]
            mask.zero_().view(-1).index_fill_(0, chosen, 1.0)

    @classmethod
    def fit(cls, steps: int, progress: Progress) -> tuple[ZooModel, dict[str, Any]]:
        trained, history, digest = cls().trained(steps, progress)
        every = torch.linspace(0, len(history) - 1, min(KEPT_ENTRIES, len(history)))
        entries = every.round().long().unique().tolist()
        kept = cls(entries=len(entries))
        weights = {
            name: weight
            for name, weight in trained.state_dict().items()
            if not name.startswith(("history", "iterations"))
        }
        kept.load_state_dict(weights, strict=False)
        chosen = history.some(entries)
        kept.get_buffer("iterations").copy_(torch.tensor(chosen.iterations))
        for number in range(len(kept.hidden)):
            packed = torch.from_numpy(chosen.packed(f"hidden.{number}"))
            kept.get_buffer(f"history{number}").copy_(packed)
        return kept.eval(), {"data_sha256": digest}

    def trained(self, steps: int, progress: Progress) -> tuple[SparseFashion, MaskHistory, str]:
        """Train; returns itself, the masks after each move, and the SHA-256 of the data."""
        images, labels, digest = fashion_training()
        batches = ShuffledBatches(len(images) - VALIDATION_IMAGES, BATCH)
        history = MaskHistory()
        layers = masked_layers(self)
        moves = bool(layers) and self.growth != "static"
        growth = GROWTH[self.growth]() if moves else None
        if layers:
            self.begin()
            history.add(self, 0)
        updates = self.optimizer(self.parameters())
        schedule = torch.optim.lr_scheduler.LambdaLR(
            updates, lambda step: learning_rate_factor(step, steps)
        )
        task = progress.add_task("sparse-fashion", total=steps)
        for step in range(steps):
            rows = batches(step)
            share = falling_share(step, steps)
            is_move = step > 0 and step % UPDATE_EVERY == 0 and share > 0
            if growth is not None and is_move:
                self._move(growth, share, images[rows], labels[rows])
                history.add(self, step)
            updates.zero_grad(set_to_none=True)
            F.cross_entropy(self(images[rows]), labels[rows]).backward()
            updates.step()
            schedule.step()
            progress.advance(task)
        return self.eval(), history, digest

    def _move(
        self, growth: Growth, share: float, images: torch.Tensor, labels: torch.Tensor
    ) -> None:
        """Move all masks. images, labels: of the batch whose gradients may choose."""
        if growth.needs_gradients:
            self._dense_gradients(images, labels)
        move_all(masked_layers(self), share, growth)

    def _dense_gradients(self, images: torch.Tensor, labels: torch.Tensor) -> None:
        """Give every weight its gradient, whether it is there or not.

        The weight of a layer is its masked one; the gradient of that is kept before its mask.
        """
        logits = self(images)
        masked = [layer.weight for layer in masked_layers(self).values()]
        gradients = torch.autograd.grad(F.cross_entropy(logits, labels), masked)
        for layer, gradient in zip(masked_layers(self).values(), gradients, strict=True):
            layer.get_parameter("weight_orig").grad = gradient
