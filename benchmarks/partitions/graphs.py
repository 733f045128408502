"""The zoo's early-exit and skip networks as prepared graphs, a host that reads each decision back, and the plain network as one graph.

A graph ends where a decision is read. Sizes are those of the batch: a branch runs on all rows where at least one takes it, and rows that do not keep what
they had.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from benchmarks.partitions.session import Prepared
from condsim.zoo.exit_fashion import ExitFashion
from condsim.zoo.skip_fashion import SHRINK_BEFORE, SkipFashion

Run = Callable[[np.ndarray], np.ndarray]
"""Images float32 [batch, 1, 28, 28] → class logits [batch, 10]."""


class _Function(nn.Module):
    """A function of a module's parts as a module of its own."""

    def __init__(self, parts: nn.Module, call: Callable[..., object]) -> None:
        super().__init__()
        self.parts, self.call = parts, call

    def forward(self, *inputs: torch.Tensor) -> object:
        return self.call(*inputs)


def exits(model: ExitFashion, batch: int, threshold: float) -> tuple[Run, Run]:
    """(switched, plain). threshold: confidence at which an image leaves."""
    last = len(model.stages) - 1

    def stage(i: int, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        x = model.stages[i](x)
        logits = model.heads[i](x)
        return (logits,) if i == last else (logits, x, logits.softmax(-1).amax(-1) < threshold)

    def later(i: int) -> Callable[..., tuple[torch.Tensor, ...]]:
        def call(
            x: torch.Tensor, before: torch.Tensor, goes: torch.Tensor
        ) -> tuple[torch.Tensor, ...]:
            logits, *rest = stage(i, x)
            return torch.where(goes[:, None], logits, before), *rest

        return call

    example = torch.zeros(batch, 1, 28, 28)
    graphs = [Prepared(_Function(model, lambda x: stage(0, x)), example)]
    x, before, goes = (
        model.stages[0](example),
        torch.zeros(batch, 10),
        torch.zeros(batch, dtype=torch.bool),
    )
    for i in range(1, last + 1):
        graphs.append(Prepared(_Function(model, later(i)), x, before, goes))
        x = model.stages[i](x)

    def switched(images: np.ndarray) -> np.ndarray:
        logits, x, goes = graphs[0](images)
        for i in range(1, last + 1):
            if not goes.any():
                break
            logits, *rest = graphs[i](x, logits, goes)
            if rest:
                x, goes = rest[0], goes & rest[1]
        return logits

    whole = Prepared(_Function(model, lambda x: model.every_exit(x)[-1]), example)
    return switched, lambda images: whole(images)[0]


def skips(model: SkipFashion, batch: int, threshold: float) -> tuple[Run, Run]:
    """(switched, plain). threshold: score above which an image enters a block. Each decision has two graphs: with its block, and without."""
    last = len(model.blocks) - 1

    def after(i: int, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """From a block's end to the next decision, or to the logits."""
        if i == last:
            return (model.head(x),)
        if i + 1 == SHRINK_BEFORE:
            x = model.shrink(x)
        return x, model.gates[i + 1](x)[:, 0] > threshold

    def entered(i: int) -> Callable[..., tuple[torch.Tensor, ...]]:
        return lambda x, enters: after(
            i, torch.where(enters[:, None, None, None], model.blocks[i](x), x)
        )

    def begin(images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return after(-1, model.stem(images))

    def plain(images: torch.Tensor) -> torch.Tensor:
        x = model.stem(images)
        for i, block in enumerate(model.blocks):
            x = block(model.shrink(x) if i == SHRINK_BEFORE else x)
        result: torch.Tensor = model.head(x)
        return result

    example = torch.zeros(batch, 1, 28, 28)
    first, pairs = Prepared(_Function(model, begin), example), []
    x = begin(example)[0]
    for i in range(last + 1):
        enters = torch.zeros(batch, dtype=torch.bool)
        by, into = _Function(model, lambda x, i=i: after(i, x)), _Function(model, entered(i))
        pairs.append((Prepared(by, x), Prepared(into, x, enters)))
        x = after(i, x)[0]

    def switched(images: np.ndarray) -> np.ndarray:
        x, *enters = first(images)
        for by, into in pairs:
            x, *enters = into(x, enters[0]) if enters[0].any() else by(x)
        return x

    whole = Prepared(_Function(model, plain), example)
    return switched, lambda images: whole(images)[0]
