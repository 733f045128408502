"""How zoo models are trained: the loop, batches of images, the loss of language models."""

from __future__ import annotations

import math
import platform
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from torch import nn

from condsim.errors import CondsimError
from condsim.zoo.base import CHECKPOINTS, kind_of, save_checkpoint

LEARNING_RATE = 3e-3
WEIGHT_DECAY = 0.02
"""Of matrices; vectors do not decay."""
REPORTS = 40
"""How often the loss is shown in a training."""


def train(name: str, steps: int | None = None, seed: int = 0, folder: Path = CHECKPOINTS) -> Path:
    """Train the model `name` from scratch and write its checkpoint to `folder`. Shows progress.

    steps: None for as many as the shipped checkpoint had. seed: of everything random; the caller's
    generator is left as it was.
    """
    kind = kind_of(name)
    steps = kind.steps if steps is None else steps
    if steps < 1:
        raise CondsimError(f"steps must be at least 1, got {steps}")
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    began = time.perf_counter()
    with Progress(*columns) as progress, torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model, about = kind.fit(steps, progress)
    took_s = time.perf_counter() - began
    about |= {
        "steps": steps,
        "seed": seed,
        "training_s": round(took_s, 1),
        "threads": torch.get_num_threads(),
        "torch": str(torch.__version__),  # a subclass of str, which a weights-only load refuses
        "python": platform.python_version(),
    }
    path = folder / f"{name}.pt"
    save_checkpoint(model, about, path)
    return path


def minimise(
    parameters: Iterable[nn.Parameter],
    loss: Callable[[int], torch.Tensor],
    steps: int,
    progress: Progress,
    name: str,
) -> None:
    """AdamW; the learning rate warms up and then falls to zero, gradients are clipped at norm 1.

    loss: step → the loss of that step's batch. name: shown with the progress.
    """
    parameters = list(parameters)
    matrices = [p for p in parameters if p.ndim > 1]
    vectors = [p for p in parameters if p.ndim <= 1]
    groups: list[dict[str, Any]] = [
        {"params": matrices, "weight_decay": WEIGHT_DECAY},
        {"params": vectors, "weight_decay": 0.0},
    ]
    optimiser = torch.optim.AdamW(groups, lr=LEARNING_RATE)
    factor = partial(learning_rate_factor, steps=steps)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, factor)
    task = progress.add_task(name, total=steps)
    for step in range(steps):
        value = loss(step)
        optimiser.zero_grad(set_to_none=True)
        value.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        schedule.step()
        if step % max(1, steps // REPORTS) == 0 or step == steps - 1:
            place = f"{name} step {step} of {steps}"
            _report(progress, task, place, name, value.item())
        progress.advance(task)


def learning_rate_factor(step: int, steps: int) -> float:
    """A linear warm-up over a twentieth of the steps, then a cosine to zero."""
    warm_up = max(1, steps // 20)
    linear = (step + 1) / warm_up
    if step < warm_up:
        return linear
    done = min(1.0, step / steps)
    cosine = 0.5 * (1 + math.cos(math.pi * done))
    return min(linear, cosine)


def _report(progress: Progress, task: TaskID, place: str, name: str, loss: float) -> None:
    progress.update(task, description=f"{name}  loss {loss:.3f}")
    if not progress.console.is_terminal:
        progress.console.print(f"{place} loss {loss:.4f}")


class ShuffledBatches:
    """Row numbers of batches: every epoch is another permutation, a last partial batch is dropped.

    Steps are asked for in order.
    """

    def __init__(self, count: int, batch: int) -> None:
        self.count = count
        self.batch = batch
        self.batches_an_epoch = count // batch
        self.order = torch.randperm(count)

    def __call__(self, step: int) -> torch.Tensor:
        """Row numbers of a step's batch, int64 [batch]."""
        place = step % self.batches_an_epoch
        if place == 0 and step > 0:
            self.order = torch.randperm(self.count)
        first = place * self.batch
        return self.order[first : first + self.batch]


def bits(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Mean next-byte cross entropy of each sequence, in bits [batch].

    logits: [batch, seq, 256]. targets: int64 [batch, seq].
    """
    nats = F.cross_entropy(logits.transpose(1, 2), targets, reduction="none")
    return nats.mean(1) / math.log(2)
