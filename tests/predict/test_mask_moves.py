"""What moves of masks run, and the FLOPs of RigL."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import prune

import condsim
from condsim.errors import CondsimError
from condsim.live.mask_updates import GROWTH, move_all
from condsim.live.masks import masked_layers
from condsim.predict.mask_moves import (
    MaskMoves,
    counted_step_flops,
    mask_moves,
    move_operators,
    moves_of,
    rigl_step_flops,
)
from condsim.record.recorder import RecordedOp, Recorder
from condsim.trace import Trace

pytestmark = pytest.mark.filterwarnings("ignore:Sparse")
UNITS = 12
EVERY = 100


class Shifted(nn.Module):
    """Every layer has all three products of a step: what comes in is trained."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.shift = nn.Parameter(torch.zeros(16))
        self.first, self.last = nn.Linear(16, 12), nn.Linear(12, 8)
        for layer in (self.first, self.last):
            prune.custom_from_mask(layer, "weight", torch.rand_like(layer.weight) < 0.25)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.first(x + self.shift).relu())


@pytest.fixture(scope="module")
def trace() -> Trace:
    model, history = Shifted(), condsim.MaskHistory()
    history.add(model, 0)
    for layer in masked_layers(model).values():
        layer.weight_orig.grad = torch.randn_like(layer.weight_orig)
    move_all(masked_layers(model), 0.5, GROWTH["rigl"]())
    history.add(model, EVERY)
    model.zero_grad()
    training = condsim.Training(lambda output: output.sum(), torch.optim.SGD)
    return condsim.capture(model, torch.randn(UNITS, 16), train=training, masks=history)


@pytest.mark.parametrize("growth", ["set", "rigl"])
def test_a_move_runs_these_operators(growth: str) -> None:
    """No tolerance: what is priced is what PyTorch runs."""
    torch.manual_seed(0)
    layer = nn.Linear(40, 30)
    prune.custom_from_mask(layer, "weight", torch.rand(30, 40) < 0.3)
    layer.weight_orig.grad = torch.randn(30, 40)
    moved = max(1, int(0.3 * int(layer.weight_mask.sum())))
    with Recorder(layer) as recorder:
        move_all({"layer": layer}, 0.3, GROWTH[growth]())
    recorded = []
    for op in recorder.events:
        if isinstance(op, RecordedOp):
            reads, writes = ([t.shape for t in of] for of in (op.inputs, op.outputs))
            recorded.append((op.name, reads, writes, op.view))
    assert recorded == move_operators(30, 40, moved, growth)


def test_moves_are_counted_of_the_history(trace: Trace) -> None:
    for site in trace.sites:
        before, after = (block for block in _masks(trace, site.name))
        assert moves_of(trace, site).tolist() == [int((after & ~before).sum())]
        assert moves_of(trace, site)[0] > 0


def _masks(trace: Trace, site: str) -> list[np.ndarray]:
    ids = trace.decisions(site).ids
    return np.split(ids, 2)


def test_rigl_has_the_flops_of_its_formula(trace: Trace) -> None:
    dense = 2.0 * UNITS * (16 * 12 + 12 * 8)
    active = [int(_masks(trace, site.name)[0].sum()) for site in trace.sites]
    sparse = 2.0 * UNITS * sum(active)
    answer = condsim.simulate(trace, "raspberry-pi-5", "masked")
    assert answer.baseline_flops == 3 * dense
    for every in (1, 10, EVERY):
        counted = counted_step_flops(trace, answer.baseline_flops, UNITS, every)
        assert counted == rigl_step_flops(sparse, dense, every)


def test_a_move_may_be_as_rare_as_its_price_asks_for() -> None:
    moves = MaskMoves("rigl", 100.0, seconds=0.01)
    assert moves.every(0.01, step_s=0.1) == 10
    assert moves.every(0.5, step_s=1.0) == 1


def test_a_move_has_a_price(trace: Trace) -> None:
    profile = condsim.hardware("raspberry-pi-5")
    by_gradient, at_random = (mask_moves(trace, profile, growth) for growth in ("rigl", "set"))
    assert by_gradient.moved == sum(int(moves_of(trace, site)[0]) for site in trace.sites)
    assert 0 < at_random.seconds < 1
    assert 0 < by_gradient.seconds < 1
    notes = condsim.simulate(trace, profile, "masked").notes
    assert any("weights come between two entries" in note for note in notes)
    assert not condsim.simulate(trace, "nvidia-h100-sxm", "masked").notes
    with pytest.raises(CondsimError, match="known of CPUs"):
        mask_moves(trace, condsim.hardware("nvidia-h100-sxm"))
