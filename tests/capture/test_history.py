"""The routing of a model over its training, as a trace."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import condsim
from condsim.errors import CondsimError
from condsim.study.routing import over_training
from condsim.trace import Trace


class Branches(nn.Module):
    """Three branches; the gate's bias says which rows take."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Linear(4, 3)
        self.branches = nn.ModuleList(nn.Linear(4, 4) for _ in range(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        condsim.route("path", "multi_branch", self.gate(x).argmax(-1), branches=3)
        out = None
        for choice, branch in enumerate(self.branches):
            with condsim.branch("path", choice) as rows:
                if rows:
                    out = rows.put(out, branch(rows.take(x)))
        assert out is not None
        return out


def send(model: Branches, choice: int) -> None:
    """Let the gate send every row to one branch."""
    with torch.no_grad():
        model.gate.weight.zero_()
        model.gate.bias.copy_(torch.arange(3) == choice)


@pytest.fixture(scope="module")
def history() -> Trace:
    """A gate that is even, then collapses to branch 2; 2 batches of 30 rows at each moment."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Branches()
        rows = torch.eye(4)[torch.arange(30) % 3]
        watched = condsim.RoutingHistory(model, [rows, rows])
        with torch.no_grad():
            model.gate.weight.copy_(torch.eye(3, 4))
            model.gate.bias.zero_()
        watched.watch(0)
        send(model, 2)
        watched.watch(100)
        return watched.trace("history")


def test_each_moment_has_its_own_decisions(history: Trace) -> None:
    assert history.steps["trained"].tolist() == [0, 0, 100, 100]
    ids = history.decisions("path").ids.reshape(4, 30)
    assert np.bincount(ids[1]).tolist() == [10, 10, 10]
    assert set(ids[2]) == {2}


def test_the_table_shows_the_collapse(history: Trace) -> None:
    table = over_training(history).set_index("trained")
    columns = ["entropy", "imbalance", "dropped", "dead"]
    assert table.loc[0, columns].tolist() == pytest.approx([1, 1, 0, 0])
    after = table.loc[100]
    assert after["entropy"] == 0
    assert after["imbalance"] == 3
    assert after["dropped"] == pytest.approx(1 - 1.25 / 3)
    assert after["dead"] == pytest.approx(2 / 3)


def test_a_moment_is_simulated(history: Trace) -> None:
    flops = []
    for moment in (0, 100):
        steps = np.flatnonzero(history.steps["trained"] == moment).tolist()
        flops.append(condsim.simulate(history, "raspberry-pi-5", steps=steps).latency_s)
    assert flops[1] < flops[0], "one branch of many rows is run faster than three of few"


def test_it_is_kept(history: Trace, tmp_path: Path) -> None:
    opened = condsim.load(history.save(tmp_path / "t"))
    assert opened.steps["trained"].tolist() == [0, 0, 100, 100]


def test_watching_changes_nothing() -> None:
    model = Branches()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    inputs = torch.randn(6, 4)
    drawn = torch.get_rng_state()
    condsim.RoutingHistory(model, inputs).watch(3)
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), drawn)


def test_moments_are_in_order() -> None:
    history = condsim.RoutingHistory(Branches(), torch.randn(6, 4))
    with pytest.raises(CondsimError, match="nothing was watched yet"):
        history.trace()
    history.watch(5)
    with pytest.raises(CondsimError, match="must be after 5, got 5"):
        history.watch(5)


def test_one_moment_is_no_history() -> None:
    trace = condsim.capture(Branches(), torch.randn(6, 4), measure=False)
    with pytest.raises(CondsimError, match="holds one moment of a training"):
        over_training(trace)
