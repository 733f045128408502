"""Modules that decide in Python, as many people write them, for tests of their ways."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import nn

from condsim.live.lift.questions import QuestionTape
from condsim.live.lift.ways import RunWith

WIDTH = 6


class Parts(nn.Module):
    """Three blocks with a head and a gate each."""

    def __init__(self, limit: float = 0.4) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(3))
        self.heads = nn.ModuleList(nn.Linear(WIDTH, 3) for _ in range(3))
        self.gates = nn.ModuleList(nn.Linear(WIDTH, 1) for _ in range(3))
        self.limit = limit


class Exits(Parts):
    """Returns at the first head that is sure."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits = x
        for block, head in zip(self.blocks, self.heads, strict=True):
            x = x + block(x).relu()
            logits = head(x)
            if logits.softmax(-1).max().item() > self.limit:
                return logits
        return logits


class WholeBatch(Parts):
    """Leaves where all rows are sure."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits = x
        for block, head in zip(self.blocks, self.heads, strict=True):
            x = block(x).relu()
            logits = head(x)
            if (logits.softmax(-1).amax(-1) > self.limit).all():
                break
        return logits


class Skips(Parts):
    """A gate skips a block."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block, gate in zip(self.blocks, self.gates, strict=True):
            if gate(x).item() > 0:
                x = x + block(x)
        return self.heads[0](x)


class Patience(Parts):
    """Leaves where two heads in a row say the same."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        before, same = None, 0
        logits = x
        for block, head in zip(self.blocks, self.heads, strict=True):
            x = block(x).relu()
            logits = head(x)
            answer = logits.argmax(-1)
            same = same + 1 if before is not None and torch.equal(answer, before) else 0
            before = answer
            if same == 1:
                break
        return logits


class PatienceOfTensors(Parts):
    """The same with a comparison of tensors, after two in a row."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        before, same = None, 0
        logits = x
        for _ in range(2):
            for block, head in zip(self.blocks, self.heads, strict=True):
                x = block(x).relu()
                logits = head(x)
                answer = logits.argmax(-1)
                same = same + 1 if before is not None and (answer == before).all() else 0
                before = answer
                if same == 2:
                    return logits
        return logits


class LightOrHeavy(Parts):
    """One of two branches."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.heads[0](x).argmax(-1).item() == 0:
            return self.gates[0](x)
        return self.gates[1](self.blocks[1](self.blocks[0](x)))


class Same(Parts):
    """Asks, and does the same."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.sum() > 0:
            x = x * 2
        return self.heads[0](x)


def run_with(host: nn.Module, rows: int = 8) -> RunWith:
    """Runs of a host on random rows, which are the same each time."""
    return partial(_run, host, rows)


def _run(host: nn.Module, rows: int, answers: Sequence[bool], later: bool) -> QuestionTape:
    torch.manual_seed(rows)
    x = torch.randn(rows, WIDTH)
    with torch.no_grad():
        return QuestionTape(host, answers, later).run(host.forward, (x,), {})


def ready(kind: type[nn.Module]) -> nn.Module:
    """A module with random weights, the same each time."""
    torch.manual_seed(0)
    return kind().eval()
