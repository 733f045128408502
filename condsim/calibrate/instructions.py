"""What a bytecode instruction between operators costs.

Layers as models are made of them are timed with and without their modules. They are timed hot: the
interpreter and `torch.nn.Module` are run by every layer and so stay in the caches, unlike the code
of an operator.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from condsim.record.interpreter import Interpreter
from condsim.timing.cases import existing, measure
from condsim.timing.yardstick import Yardstick

LEAST_S = 1e-9


class Layers(nn.Module):
    """Layers as models are made of them; `bare` runs the same operators without the modules."""

    def __init__(self) -> None:
        super().__init__()
        conv = nn.Conv2d(4, 4, 1)
        batch = nn.BatchNorm2d(4)
        self.stack = nn.Sequential(conv, batch, nn.ReLU())
        self.norm = nn.LayerNorm(16)
        self.inner = nn.Linear(16, 16)
        self.drop = nn.Dropout(0.1)
        self.eval()
        self.tensors = (
            conv.weight,
            conv.bias,
            batch.running_mean,
            batch.running_var,
            batch.weight,
            batch.bias,
            self.norm.weight,
            self.norm.bias,
            self.inner.weight,
            self.inner.bias,
        )

    def forward(self, x: torch.Tensor, h: torch.Tensor) -> Any:
        return self.stack(x), self.drop(self.inner(self.norm(h)))

    def bare(self, x: torch.Tensor, h: torch.Tensor) -> Any:
        w, b, mean, var, scale, shift, n, m, v, c = self.tensors
        x = F.relu(F.batch_norm(F.conv2d(x, w, b), mean, var, scale, shift))
        return x, F.dropout(F.linear(F.layer_norm(h, (16,), n, m), v, c), 0.1, False)


def instruction_s(yardstick: Yardstick, rounds: int = 9) -> float:
    """Seconds of an instruction. Must run under inference mode."""
    layers = Layers()
    image, rows = torch.ones(1, 4, 4, 4), torch.ones(4, 16)
    with_modules = partial(layers, image, rows)
    bare = partial(layers.bare, image, rows)
    instructions = count_instructions(with_modules) - count_instructions(bare)
    calls = existing({"layers": with_modules, "bare": bare})
    seconds = measure(calls, rounds, yardstick=yardstick)
    return max((seconds["layers"] - seconds["bare"]) / instructions, LEAST_S)


def count_instructions(call: Callable[[], object]) -> int:
    """Bytecode instructions that one call runs between operators, after a first call."""
    call()
    with Interpreter() as python:
        call()
    return python.taken()
