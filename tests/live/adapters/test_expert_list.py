"""A list of experts behind a linear gate, in a Python loop, as people write it."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from gates.harness import flat
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

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


class Expert(nn.Module):
    """inner: its width. norm: whether its result is normalised."""

    def __init__(self, inner: int, norm: bool) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(16, inner), nn.Linear(inner, 16)
        self.norm = nn.LayerNorm(16) if norm else nn.Identity()

    def forward(self, x: torch.Tensor) -> Any:
        return self.norm(self.down(torch.relu(self.up(x))))


def of_experts(inner: int, norm: bool, dtype: torch.dtype = torch.float32) -> Any:
    """(ways to run a block of such experts, notes of its trace)."""
    torch.manual_seed(0)
    block = Block()
    block.experts = nn.ModuleList(Expert(inner, norm) for _ in range(5))
    live = LiveModel.of(nn.Sequential(nn.Linear(8, 16), block, nn.Linear(16, 4)).to(dtype).eval())
    live.run(as_batches(torch.randn(12, 8).to(dtype))[0])
    (site,) = live.sites
    return set(site.offers()["moe"]), " ".join(site.notes)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_strategies_do_not_depend_on_the_dtype(dtype: torch.dtype) -> None:
    ways, notes = of_experts(inner=24, norm=False, dtype=dtype)
    assert ways == {"looped", "grouped", "batched", "padded"}
    assert "left out" not in notes


def test_a_strategy_that_the_width_does_not_allow_is_left_out() -> None:
    ways, notes = of_experts(inner=21, norm=False)
    assert ways == {"looped", "batched", "padded"}
    assert "grouped is left out, RuntimeError" in notes


def test_a_note_says_that_the_baseline_is_a_loop() -> None:
    ways, notes = of_experts(inner=24, norm=True)
    assert ways == {"looped"}
    assert "baselines run the experts of 1 one after the other" in notes


class Unread(Block):
    """A loop over flat choices, which nobody lifts. skips: experts without rows are passed over."""

    skips = True

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weights, ids = torch.topk(self.gate(x).softmax(-1), 2, dim=-1)
        rows = torch.arange(len(x)).repeat_interleave(2)
        out = torch.zeros_like(x)
        for number, expert in enumerate(self.experts):
            chosen = (ids.view(-1) == number).nonzero().flatten()
            if self.skips and chosen.numel() == 0:
                continue
            mine = rows.take(chosen)
            result = expert(x.take_along_dim(mine[:, None].expand(-1, 16), 0))
            result = result * weights.view(-1).take(chosen)[:, None]
            out.index_put_((mine,), result, accumulate=True)
        return out


class Unskipped(Unread):
    skips = False


@pytest.mark.parametrize("kind", [Unread, Unskipped])
def test_a_loop_that_is_not_read_is_told_apart(kind: type[Block]) -> None:
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Linear(8, 16), kind(), nn.Linear(16, 4)).eval(), torch.randn(9, 8)
    with FlopCounterMode(display=False) as counted, torch.no_grad():
        model(x)
    trace = condsim.capture(model, [x], measure=False)
    predicted = condsim.simulate(trace, "nvidia-h100-sxm")
    assert predicted.executed_flops == counted.get_total_flops()
