"""Training steps are measured as forwards are, and leave nothing behind."""

from __future__ import annotations

import functools
import json
import random
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from torch import nn

import condsim
from condsim.errors import CondsimError
from condsim.live.model import LiveModel
from condsim.measure import in_process, measure, measure_live, measure_segments, protocol, worker
from condsim.measure.gate import Gate
from condsim.measure.plan import Plan
from condsim.measure.replay import Captured, Replay
from condsim.measure.sides import Side, installed
from condsim.timing.clock import WALL

FEW = {"pairs": 1, "steps": 1}


@pytest.fixture(autouse=True)
def no_yardsticks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol.yardsticks, "read", lambda: {"read_64mb": 1.0})
    monkeypatch.setattr(in_process, "this_machine", lambda *_: None)
    monkeypatch.setattr(Gate, "is_open", lambda _self, _reading: True)


@pytest.fixture
def timed(trained: Captured) -> Iterator[tuple[Side, Replay]]:
    """The conditional side, installed."""
    replay = Replay(trained, 8, "train")
    side = Side(replay, {"early_exit": "compacted"}, Plan())
    trained.live.model.train()
    with installed((side,), [replay.step(0)]):
        yield side, replay


def state_of(model: nn.Module) -> list[tuple[str, bytes]]:
    return [(name, value.numpy().tobytes()) for name, value in model.state_dict().items()]


def test_all_ways_and_baselines_are_timed(trained: Captured) -> None:
    arguments = (trained.trace, trained.live, trained.inputs)
    strategies = ["compacted", "masked", "wait"]
    trace = measure_live(*arguments, strategies=strategies, module=nn.Linear(8, 4), **FEW)
    table = trace.measurements
    assert set(table["phase"]) == {"train"}
    assert set(table["strategy"]) == set(strategies)
    assert set(table["baseline"]) == {"same-params", "same-flops", "module"}
    assert bool((table[["conditional_s", "baseline_s"]] > 0).all(axis=None))


def test_nothing_is_left_behind(trained: Captured) -> None:
    model = trained.live.model.eval()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    training = replace(trained.live.training or condsim.Training(), optimizer=optimizer)
    weight = next(model.parameters())
    gradient = weight.grad = torch.ones_like(weight)
    before = state_of(model)
    drawn = torch.get_rng_state(), random.getstate()
    measure_live(trained.trace, LiveModel.of(model, training), trained.inputs, **FEW)
    assert state_of(model) == before
    assert weight.grad is gradient
    weight.grad = None
    assert all(weight.grad is None for weight in model.parameters())
    assert optimizer.state == {}
    assert [group["lr"] for group in optimizer.param_groups] == [0.1]
    assert torch.equal(torch.get_rng_state(), drawn[0])
    assert random.getstate() == drawn[1]
    assert not model.training


def test_a_call_is_a_whole_step(timed: tuple[Side, Replay]) -> None:
    side, replay = timed
    assert side.optimizer is not None
    weight = replay.live.model.get_parameter("first.weight")
    before = float(side.optimizer.state[weight]["step"])
    assert side.run(replay.step(0), WALL) > 0
    assert float(side.optimizer.state[weight]["step"]) == before + 1
    assert bool(side.optimizer.state[weight]["exp_avg"].any()), "no gradient reached the optimizer"
    assert weight.grad is None


def test_an_installed_side_has_an_optimizer_only_inside(trained: Captured) -> None:
    replay = Replay(trained, 8, "train")
    side = Side(replay, {"early_exit": "compacted"}, Plan())
    with installed((side,), [replay.step(0)]):
        assert side.optimizer is not None
    assert side.optimizer is None


def test_steps_of_another_size_have_their_targets(trained: Captured) -> None:
    batch = Replay(trained, 12, "train").step(1).batch
    assert batch.targets is not None
    expected = torch.cat([torch.arange(8) % 4] * 6)[12:24]
    assert torch.equal(batch.targets, expected)


def test_a_fresh_process_trains(trained: Captured, tmp_path: Path) -> None:
    folder = trained.trace.save(tmp_path / "trace")
    plan = {"pairs": 1, "steps": 1, "baselines": ["same-params"], "patience_s": 0.0}
    (tmp_path / "job").write_text(json.dumps({"trace": str(folder), "plan": plan}))
    assert worker.main([str(tmp_path / "job"), str(tmp_path / "result.parquet")]) == 0
    assert set(pd.read_parquet(tmp_path / "result.parquet")["phase"]) == {"train"}


@pytest.mark.parametrize(
    ("call", "what"),
    [
        (measure_segments, "by segment"),
        (functools.partial(measure, runtime="compiled"), "runtime 'compiled'"),
    ],
)
def test_what_times_forwards_only_says_so(trained: Captured, call: Any, what: str) -> None:
    message = f"holds training steps, and {what} times forwards only"
    with pytest.raises(CondsimError, match=re.escape(message)):
        call(trained.trace)
