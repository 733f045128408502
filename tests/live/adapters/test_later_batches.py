"""A forward is read on the first batch and compared with its own result on every later one."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import condsim
from condsim.errors import CondsimError

ROOM = 20
Rows = tuple[torch.Tensor, torch.Tensor]


class Mixture(nn.Module):
    """Four experts, two a row; subclasses cut the rows of an expert, as Python likes it."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Linear(8, 4)
        self.experts = nn.ModuleList(
            nn.Sequential(nn.Linear(8, 12), nn.SiLU(), nn.Linear(12, 8)) for _ in range(4)
        )
        self.calls = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        weights, ids = self.gate(x).softmax(-1).topk(2)
        out = torch.zeros_like(x)
        for number, expert in enumerate(self.experts):
            rows, slot = self.cut(x, *torch.where(ids == number))
            if len(rows):
                out.index_add_(0, rows, weights[rows, slot, None] * expert(x[rows]))
        return out

    def cut(self, x: torch.Tensor, rows: torch.Tensor, slot: torch.Tensor) -> Rows:
        return rows, slot


class ByLength(Mixture):
    def cut(self, x: torch.Tensor, rows: torch.Tensor, slot: torch.Tensor) -> Rows:
        return (rows[:ROOM], slot[:ROOM]) if len(rows) > ROOM else (rows, slot)


class BySlice(Mixture):
    def cut(self, x: torch.Tensor, rows: torch.Tensor, slot: torch.Tensor) -> Rows:
        return rows[:ROOM], slot[:ROOM]


class ByMinimum(Mixture):
    def cut(self, x: torch.Tensor, rows: torch.Tensor, slot: torch.Tensor) -> Rows:
        kept = min(len(rows), ROOM)
        return rows[:kept], slot[:kept]


class ByWhile(Mixture):
    def cut(self, x: torch.Tensor, rows: torch.Tensor, slot: torch.Tensor) -> Rows:
        while len(rows) > ROOM:
            rows, slot = rows[:-1], slot[:-1]
        return rows, slot


class ByValue(Mixture):
    def cut(self, x: torch.Tensor, rows: torch.Tensor, slot: torch.Tensor) -> Rows:
        return (rows[:5], slot[:5]) if x.abs().max().item() > 3 else (rows, slot)


class ByCalls(Mixture):
    def cut(self, x: torch.Tensor, rows: torch.Tensor, slot: torch.Tensor) -> Rows:
        return (rows[:2], slot[:2]) if self.calls > 10 else (rows, slot)


class ByShare(Mixture):
    def cut(self, x: torch.Tensor, rows: torch.Tensor, slot: torch.Tensor) -> Rows:
        room = len(x) * 2 // 4
        return rows[:room], slot[:room]


def model_of(kind: type[Mixture]) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), kind(), nn.Linear(8, 2)).eval()


def batches() -> list[torch.Tensor]:
    """A small batch, in which nothing is cut, and larger ones, in which rows are."""
    torch.manual_seed(1)
    return [0.3 * torch.randn(12, 6), 0.3 * torch.randn(64, 6), 3 * torch.randn(64, 6)]


@pytest.mark.parametrize("kind", [ByLength, BySlice, ByMinimum, ByWhile, ByValue, ByCalls])
def test_what_python_cuts_on_a_later_batch_is_refused(kind: type[Mixture]) -> None:
    with pytest.raises(CondsimError) as error:
        condsim.capture(model_of(kind), batches(), measure=False)
    message = str(error.value)
    assert message.startswith(("site '1'", "block '1'"))
    assert "condsim.route('NAME', 'moe'" in message


def test_what_is_read_may_fail_on_a_later_batch_and_the_model_does_not() -> None:
    """The first batch is cut already; later ones leave experts without rows."""
    model = model_of(ByShare)
    torch.manual_seed(6)
    skewed = [torch.randn(24, 6) + 2 * torch.randn(6) for _ in range(3)]
    for batch in skewed:
        model(batch)
    with pytest.raises(CondsimError, match=r"site '1': .*condsim.route\('NAME', 'moe'"):
        condsim.capture(model, [torch.randn(24, 6), *skewed], measure=False)


def test_a_limit_that_nothing_reaches_is_no_matter() -> None:
    trace = condsim.capture(model_of(ByLength), batches()[:1], measure=False)
    assert [site.name for site in trace.sites] == ["1"]
