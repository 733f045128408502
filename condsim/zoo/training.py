"""The training loop, and how gates are kept from collapsing."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
import torch.nn.functional as F
from rich.progress import Progress
from torch import nn


def minimise(
    parameters: Iterable[nn.Parameter],
    loss: Callable[[int], torch.Tensor],
    steps: int,
    learning_rate: float,
    progress: Progress,
    name: str,
) -> None:
    """AdamW, a linear warm-up over a twentieth of the steps, then a cosine to zero; gradients clipped at norm 1.

    loss: step → the loss of that step's batch.
    """
    parameters = list(parameters)
    matrices: dict[str, Any] = {"params": [p for p in parameters if p.ndim > 1]}
    vectors: dict[str, Any] = {
        "params": [p for p in parameters if p.ndim <= 1],
        "weight_decay": 0.0,
    }
    optimiser = torch.optim.AdamW([matrices, vectors], lr=learning_rate, weight_decay=0.02)
    warm = max(1, steps // 20)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser,
        lambda s: (
            min((s + 1) / warm, 0.5 * (1 + math.cos(math.pi * min(1.0, s / steps))))
            if s >= warm
            else (s + 1) / warm
        ),
    )
    task = progress.add_task(name, total=steps)
    for step in range(steps):
        value = loss(step)
        optimiser.zero_grad(set_to_none=True)
        value.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        schedule.step()
        if step % max(1, steps // 40) == 0 or step == steps - 1:
            progress.update(task, description=f"{name}  loss {value.item():.3f}")
            if not progress.console.is_terminal:
                progress.console.print(f"{name} step {step} of {steps} loss {value.item():.4f}")
        progress.advance(task)


def shuffled(count: int, batch: int) -> Callable[[int], torch.Tensor]:
    """step → the row numbers of its batch; every epoch is another permutation, a last partial batch is dropped."""
    batches_per_epoch = count // batch
    order = torch.randperm(count)

    def rows(step: int) -> torch.Tensor:
        nonlocal order
        at = step % batches_per_epoch
        if at == 0 and step:
            order = torch.randperm(count)
        return order[at * batch : (at + 1) * batch]

    return rows


def bits(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Mean next-byte cross entropy of each sequence, in bits. logits: [batch, seq, 256]; targets: int64 [batch, seq]; returns [batch]."""
    return F.cross_entropy(logits.transpose(1, 2), targets, reduction="none").mean(1) / math.log(2)


class Spread(nn.Module):
    """Gate logits with mean `centre` ± `reach` (learnt) and deviation 1 over the batch, so that no branch is ever starved or takes everything.

    Used while training only: `fold` then writes it into the linear layer that makes the logits.
    """

    def __init__(self, width: int, centre: float, reach: float) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(width, affine=False, momentum=0.05)
        self.shift = nn.Parameter(torch.zeros(width))
        self.centre, self.reach = centre, reach

    def mean(self) -> torch.Tensor:
        """The mean that the logits get [width]."""
        return self.centre + self.reach * torch.tanh(self.shift)

    def forward(self, logits: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.norm(logits) + self.mean()
        return out

    @torch.no_grad()
    def fold(self, linear: nn.Linear) -> None:
        """Make `linear` give what this module would give of its logits, from running statistics."""
        assert self.norm.running_var is not None
        assert self.norm.running_mean is not None
        scale = torch.rsqrt(self.norm.running_var + self.norm.eps)
        linear.weight.mul_(scale.unsqueeze(1))
        linear.bias.copy_((linear.bias - self.norm.running_mean) * scale + self.mean())
