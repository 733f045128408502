"""What a bytecode instruction between operators costs: layers as models are made of them, with and without their modules.

It is timed hot. The interpreter and `torch.nn.Module` are run by every layer and so stay in the caches, unlike the code of an operator.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from condsim.record.interpreter import Interpreter
from condsim.timing.cases import itself, measure
from condsim.timing.yardstick import Yardstick


class Layers(nn.Module):
    """Layers as models are made of them; `bare` runs the same operators without the modules."""

    def __init__(self) -> None:
        super().__init__()
        conv, batch, norm, inner = (
            nn.Conv2d(4, 4, 1),
            nn.BatchNorm2d(4),
            nn.LayerNorm(16),
            nn.Linear(16, 16),
        )
        self.stack, self.norm, self.inner, self.drop = (
            nn.Sequential(conv, batch, nn.ReLU()),
            norm,
            inner,
            nn.Dropout(0.1),
        )
        self.eval()
        self.tensors = (
            conv.weight,
            conv.bias,
            batch.running_mean,
            batch.running_var,
            batch.weight,
            batch.bias,
            norm.weight,
            norm.bias,
            inner.weight,
            inner.bias,
        )

    def forward(self, x: torch.Tensor, h: torch.Tensor) -> Any:
        return self.stack(x), self.drop(self.inner(self.norm(h)))

    def bare(self, x: torch.Tensor, h: torch.Tensor) -> Any:
        w, b, mean, var, scale, shift, n, m, v, c = self.tensors
        x = F.relu(F.batch_norm(F.conv2d(x, w, b), mean, var, scale, shift))
        return x, F.dropout(F.linear(F.layer_norm(h, (16,), n, m), v, c), 0.1, False)


def instruction_s(yardstick: Yardstick, rounds: int = 9) -> float:
    """Seconds of an instruction. Must run under inference mode."""
    layers, image, rows = Layers(), torch.ones(1, 4, 4, 4), torch.ones(4, 16)
    ways = {"layers": partial(layers, image, rows), "bare": partial(layers.bare, image, rows)}
    counts = {name: _instructions(call) for name, call in ways.items()}
    times = measure(
        {name: partial(itself, call) for name, call in ways.items()}, rounds, yardstick=yardstick
    )
    return max((times["layers"] - times["bare"]) / (counts["layers"] - counts["bare"]), 1e-9)


def _instructions(call: Any) -> int:
    call()
    with Interpreter() as python:
        call()
    return python.taken()
