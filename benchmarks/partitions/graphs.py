"""The zoo's early-exit and skip networks as prepared graphs, and the plain network as one graph.

A graph ends where the host reads a decision. Sizes are those of the batch: a branch runs on all
rows where at least one takes it, and the other rows keep what they had.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

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
    """Return (switched, plain) of an early-exit network.

    threshold: the confidence at which an image leaves.
    """
    last = len(model.stages) - 1

    def stage(i: int, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        x = model.stages[i](x)
        logits = model.heads[i](x)
        if i == last:
            return (logits,)
        confidence = logits.softmax(-1).amax(-1)
        return logits, x, confidence < threshold

    def later(i: int) -> Callable[..., tuple[torch.Tensor, ...]]:
        def call(
            x: torch.Tensor, before: torch.Tensor, goes: torch.Tensor
        ) -> tuple[torch.Tensor, ...]:
            logits, *rest = stage(i, x)
            return torch.where(goes[:, None], logits, before), *rest

        return call

    example = torch.zeros(batch, 1, 28, 28)
    graphs = [Prepared(_Function(model, lambda x: stage(0, x)), example)]
    x = model.stages[0](example)
    before, goes = torch.zeros(batch, 10), torch.zeros(batch, dtype=torch.bool)
    for i in range(1, last + 1):
        graphs.append(Prepared(_Function(model, later(i)), x, before, goes))
        x = model.stages[i](x)
    whole = Prepared(_Function(model, lambda x: model.every_exit(x)[-1]), example)
    return _until_all_left(graphs), lambda images: whole(images)[0]


def _until_all_left(graphs: list[Prepared]) -> Run:
    """Return what runs the graphs in turn until no image goes on."""

    def switched(images: np.ndarray) -> np.ndarray:
        logits, x, goes = graphs[0](images)
        for graph in graphs[1:]:
            if not goes.any():
                break
            logits, *rest = graph(x, logits, goes)
            if rest:
                x, goes = rest[0], goes & rest[1]
        return logits

    return switched


def skips(model: SkipFashion, batch: int, threshold: float) -> tuple[Run, Run]:
    """Return (switched, plain) of a skip network.

    threshold: the score above which an image enters a block. Each decision has two graphs, with its
    block and without.
    """
    last = len(model.blocks) - 1

    def after(i: int, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """From a block's end to the next decision, or to the logits."""
        if i == last:
            return (model.head(x),)
        if i + 1 == SHRINK_BEFORE:
            x = model.shrink(x)
        return x, model.gates[i + 1](x)[:, 0] > threshold

    def entered(i: int) -> Callable[..., tuple[torch.Tensor, ...]]:
        def call(x: torch.Tensor, enters: torch.Tensor) -> tuple[torch.Tensor, ...]:
            mixed = torch.where(enters[:, None, None, None], model.blocks[i](x), x)
            return after(i, mixed)

        return call

    def begin(images: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return after(-1, model.stem(images))

    example = torch.zeros(batch, 1, 28, 28)
    first = Prepared(_Function(model, begin), example)
    pairs = []
    x = begin(example)[0]
    for i in range(last + 1):
        enters = torch.zeros(batch, dtype=torch.bool)
        by = _Function(model, partial(after, i))
        into = _Function(model, entered(i))
        pairs.append((Prepared(by, x), Prepared(into, x, enters)))
        x = after(i, x)[0]
    whole = Prepared(_Function(model, partial(_every_block, model)), example)
    return _block_by_block(first, pairs), lambda images: whole(images)[0]


def _block_by_block(first: Prepared, pairs: list[tuple[Prepared, Prepared]]) -> Run:
    """Return what runs each block, or passes it by where no image enters it.

    pairs: the graphs (without the block, with the block) of each decision.
    """

    def switched(images: np.ndarray) -> np.ndarray:
        x, *enters = first(images)
        for by, into in pairs:
            x, *enters = into(x, enters[0]) if enters[0].any() else by(x)
        return x

    return switched


def _every_block(model: SkipFashion, images: torch.Tensor) -> torch.Tensor:
    """The plain network, in which every image enters every block."""
    x = model.stem(images)
    for i, block in enumerate(model.blocks):
        if i == SHRINK_BEFORE:
            x = model.shrink(x)
        x = block(x)
    result: torch.Tensor = model.head(x)
    return result
