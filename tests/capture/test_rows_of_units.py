"""Layers of experts on images and behind class and prefix tokens: any number of rows a unit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import condsim
from condsim.trace import Trace
from condsim.trace.header import UnitRows

HIDDEN = 16
EXPERTS = 4
PATCHES = 16


class Experts(nn.Module):
    """Rows [n, hidden] through the expert that a gate chose for each; top 1."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Linear(HIDDEN, EXPERTS)
        self.experts = nn.ModuleList(nn.Linear(HIDDEN, HIDDEN) for _ in range(EXPERTS))

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        def choose() -> tuple[torch.Tensor, torch.Tensor]:
            weights, ids = self.gate(rows).softmax(-1).topk(1)
            return ids, weights

        condsim.route("mix", "moe", choose, branches=EXPERTS)
        mixed = torch.zeros_like(rows)
        for number, expert in enumerate(self.experts):
            with condsim.branch("mix", number) as taken:
                if taken:
                    mixed = taken.add(mixed, expert(taken.take(rows)))
        return mixed


class OnImages(nn.Module):
    """Images [batch, 3, 16, 16] → patches of 4 x 4 pixels, each of which takes an expert."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, HIDDEN, kernel_size=4, stride=4)
        self.experts = Experts()
        self.head = nn.Linear(HIDDEN, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        maps = self.patches(images)
        batch, hidden, height, width = maps.shape
        rows = maps.permute(0, 2, 3, 1).reshape(-1, hidden)
        mixed = self.experts(rows).reshape(batch, height * width, hidden)
        return self.head(mixed.mean(1))


class BehindTokens(nn.Module):
    """Sequences [batch, positions] with learnt tokens before them, each of which takes an
    expert."""

    def __init__(self, learnt: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(50, HIDDEN)
        self.learnt = nn.Parameter(torch.randn(1, learnt, HIDDEN))
        self.experts = Experts()
        self.head = nn.Linear(HIDDEN, 10)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        batch = ids.shape[0]
        tokens = torch.cat([self.learnt.expand(batch, -1, -1), self.embedding(ids)], 1)
        rows = tokens.reshape(-1, HIDDEN)
        mixed = tokens + self.experts(rows).reshape(tokens.shape)
        return self.head(mixed[:, 0])


def captured(model: nn.Module, inputs: list[torch.Tensor]) -> Trace:
    """The trace of a model."""
    return condsim.capture(model.eval(), inputs, name="t", measure=False)


def sequences(batches: int) -> list[torch.Tensor]:
    """Batches of 4 sequences of 12 tokens."""
    drawn = torch.Generator().manual_seed(0)
    return [torch.randint(0, 50, (4, 12), generator=drawn) for _ in range(batches)]


def test_every_patch_of_an_image_decides(tmp_path: Path) -> None:
    torch.manual_seed(0)
    trace = captured(OnImages(), [torch.randn(4, 3, 16, 16) for _ in range(3)])
    (site,) = trace.sites
    assert site.unit_rows == UnitRows(a_position=0, a_unit=PATCHES)
    assert trace.unit_counts(site.name).sum(1).tolist() == [PATCHES] * 12
    again = condsim.load(trace.save(tmp_path / "t"))
    np.testing.assert_array_equal(again.unit_counts(site.name), trace.unit_counts(site.name))


@pytest.mark.parametrize("learnt", [1, 5])
def test_learnt_tokens_decide_beside_positions(learnt: int) -> None:
    torch.manual_seed(0)
    model = BehindTokens(learnt).eval()
    batches = sequences(3)
    trace = captured(model, batches)
    (site,) = trace.sites
    assert site.unit_rows.of(12) == 12 + learnt
    assert trace.unit_counts(site.name).sum(1).tolist() == [12 + learnt] * 12
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        for ids in batches:
            model(ids)
    executed = condsim.simulate(trace, "raspberry-pi-5", "looped").executed_flops
    assert len(batches) * executed == counter.get_total_flops()


@pytest.mark.parametrize("batch", [1, 3, 6])
def test_other_batches_execute_what_the_model_executes(batch: int) -> None:
    """PyTorch's own counter of FLOPs counts as many in a run of that batch."""
    torch.manual_seed(0)
    model = OnImages().eval()
    images = torch.randn(12, 3, 16, 16)
    trace = captured(model, list(images.split(4)))
    predicted = condsim.simulate(trace, "nvidia-h100-sxm", batch=batch, steps=[0])
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        model(images[:batch])
    assert predicted.executed_flops == pytest.approx(counter.get_total_flops(), rel=0.01)


def test_a_replay_repeats_the_decisions() -> None:
    torch.manual_seed(0)
    model = BehindTokens(1).eval()
    inputs = sequences(2)
    trace = captured(model, inputs)
    with torch.no_grad(), condsim.force(model, trace):
        replayed = [model(batch) for batch in inputs]
    with torch.no_grad():
        own = [model(batch) for batch in inputs]
    for one, other in zip(replayed, own, strict=True):
        torch.testing.assert_close(one, other)
