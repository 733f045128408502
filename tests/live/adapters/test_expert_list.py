"""A list of experts behind a linear gate, in a Python loop, as people write it."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from gates.harness import flat
from torch import nn

import condsim
from condsim.capture.observe import observe
from condsim.live.execution import Execution
from condsim.live.inputs import as_batches
from condsim.live.model import LiveModel
from condsim.lower import lower
from condsim.predict.peak_memory import peak_bytes
from condsim.record.nest import tree
from condsim.steps.rebatch import rebatch, site_rules


class Block(nn.Module):
    """Five experts, each row takes two; every expert is visited, also without rows."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Linear(16, 5, bias=False)
        self.experts = nn.ModuleList(
            nn.Sequential(nn.Linear(16, 24), nn.SiLU(), nn.Linear(24, 16)) for _ in range(5)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weights, ids = torch.topk(self.gate(x).softmax(-1), 2, dim=-1)
        out = torch.zeros_like(x)
        for e, expert in enumerate(self.experts):
            rows, slot = torch.where(ids == e)
            out.index_add_(0, rows, expert(x[rows]) * weights[rows, slot, None])
        return out


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.moe, self.last = nn.Linear(8, 16), Block(), nn.Linear(16, 4)

    def forward(self, x: torch.Tensor) -> Any:
        return self.last(self.moe(self.first(x).relu()))


@pytest.fixture(scope="module")
def net() -> tuple[Net, list[torch.Tensor]]:
    torch.manual_seed(0)
    return Net().eval(), list(torch.randn(3, 6, 8))


def test_it_is_captured_and_replayed(net: tuple[Net, list[torch.Tensor]]) -> None:
    model, inputs = net
    with torch.no_grad():
        own = [model(x) for x in inputs]
        chosen = torch.cat(
            [torch.topk(model.moe.gate(model.first(x).relu()), 2).indices for x in inputs]
        )
    trace = condsim.capture(model, inputs, measure=False)
    assert [(s.name, s.mechanism, s.branches, s.top_k) for s in trace.sites] == [
        ("moe", "moe", 5, 2)
    ]
    np.testing.assert_array_equal(trace.decisions("moe").ids, chosen)
    with condsim.force(model, trace):
        assert all(torch.equal(model(x), y) for x, y in zip(inputs, own, strict=True))
    with condsim.force(model, "same-params"):
        forced = model(inputs[0])
    h = model.first(inputs[0]).relu()
    dense = model.last(torch.stack([e(h) for e in model.moe.experts]).mean(0))
    torch.testing.assert_close(forced, dense, rtol=1e-5, atol=1e-5)
    assert "forward" not in model.moe.__dict__


def test_lowering_conforms(net: tuple[Net, list[torch.Tensor]]) -> None:
    model, inputs = net
    trace = condsim.capture(model, inputs, measure=False)
    live = LiveModel.of(model)
    observe(live, as_batches(inputs[:1]))
    for strategy in ("looped", "grouped", "batched", "padded", "same-params", "same-flops"):
        for batch, x in ((1, inputs[0][:1]), (3, inputs[0][:3]), (12, torch.cat(inputs[:2]))):
            steps = rebatch(trace, batch)
            decided = trace.decisions("moe")
            assert decided.weights is not None
            forced = Execution(
                {"moe": strategy},
                {"moe": decided.ids[:batch].astype(np.int64)},
                {"moe": decided.weights[:batch]},
            )
            recorder = live.record(as_batches(x)[0], forced)
            program = trace.programs[f"{strategy}/{steps.regime}"]
            calls = lower(
                program, site_rules(trace), {"moe": strategy}, steps.steps.step(0)
            ).sequence()
            recorded, lowered = (
                Counter(flat(tree(recorder, dict(program.periods)))),
                Counter(c.signature() for c in calls),
            )
            assert recorded == lowered, (
                strategy,
                batch,
                list(recorded - lowered)[:2],
                list(lowered - recorded)[:2],
            )
            assert peak_bytes(calls) == recorder.peak_bytes
