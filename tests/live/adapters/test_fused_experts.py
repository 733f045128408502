"""Experts behind one call, in the manner of transformers but written by somebody else."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import condsim
from condsim.errors import CondsimError
from condsim.live.adapters.fused_experts import FusedExperts, find
from condsim.live.execution import Execution
from condsim.live.inputs import as_batches
from condsim.live.model import LiveModel

EXPERTS, WIDTH, INNER, TOP_K = 4, 8, 12, 2
"""Grouped matmuls want rows of a multiple of 16 bytes."""


class Experts(nn.Module):
    """Gated experts, those with rows in a loop. transposed: projections are stored [E, in, out]."""

    def __init__(self, transposed: bool) -> None:
        super().__init__()
        up, down = torch.randn(EXPERTS, 2 * INNER, WIDTH), torch.randn(EXPERTS, WIDTH, INNER)
        self.transposed = transposed
        self.gate_up_proj = nn.Parameter(up.transpose(1, 2).contiguous() if transposed else up)
        self.down_proj = nn.Parameter(down.transpose(1, 2).contiguous() if transposed else down)
        self.act_fn = F.silu

    def expert(self, number: Any, x: torch.Tensor) -> torch.Tensor:
        up, down = self.gate_up_proj[number], self.down_proj[number]
        if self.transposed:
            up, down = up.t(), down.t()
        gate, value = F.linear(x, up).chunk(2, dim=-1)
        return F.linear(self.act_fn(gate) * value, down)

    def forward(
        self, hidden_states: torch.Tensor, top_k_index: torch.Tensor, top_k_weights: torch.Tensor
    ) -> torch.Tensor:
        out = torch.zeros_like(hidden_states)
        took = F.one_hot(top_k_index, EXPERTS).permute(2, 1, 0)
        hit = took.sum((-1, -2)).greater(0).nonzero()
        for (number,) in hit:
            slot, rows = torch.where(took[number])
            result = self.expert(number, hidden_states[rows])
            out.index_add_(0, rows, result * top_k_weights[rows, slot, None])
        return out


class Router(nn.Module):
    """calls: how often it ran."""

    def __init__(self) -> None:
        super().__init__()
        self.scores = nn.Linear(WIDTH, EXPERTS)
        self.calls = 0

    def forward(self, x: torch.Tensor) -> Any:
        self.calls += 1
        weights, ids = self.scores(x).softmax(-1).topk(TOP_K)
        return ids, weights


class Layer(nn.Module):
    def __init__(self, transposed: bool = False) -> None:
        super().__init__()
        self.router, self.experts = Router(), Experts(transposed)

    def forward(self, x: torch.Tensor) -> Any:
        return self.experts(x, *self.router(x))


@pytest.fixture(params=[False, True], ids=["[E, out, in]", "[E, in, out]"])
def layer(request: pytest.FixtureRequest) -> Layer:
    torch.manual_seed(0)
    return Layer(request.param).eval()


@pytest.fixture
def x() -> torch.Tensor:
    torch.manual_seed(1)
    return torch.randn(5, WIDTH)


def test_it_goes_by_the_signature_and_stacked_weights(layer: Layer) -> None:
    (site,) = find(layer)
    assert site.name == "experts"
    assert find(nn.Sequential(nn.Linear(4, 4))) == []


def test_strategies_agree(layer: Layer, x: torch.Tensor) -> None:
    live, own = LiveModel.of(layer), layer(x)
    batch = as_batches(x)[0]
    (site,) = live.sites
    for strategy in site.offers()["moe"]:
        out = live.run(batch, Execution({"moe": strategy}, room=len(x)))
        torch.testing.assert_close(out, own, rtol=1e-4, atol=1e-4)


def test_the_router_is_found_and_does_not_run_in_a_baseline(layer: Layer, x: torch.Tensor) -> None:
    live, batch = LiveModel.of(layer), as_batches(x)[0]
    (site,) = live.sites
    assert site.router is None
    live.run(batch)
    assert site.router is layer.router
    assert site.top_k == TOP_K
    calls = layer.router.calls
    out = live.run(batch, Execution({"moe": "same-params"}))
    assert layer.router.calls == calls
    mean = torch.stack([layer.experts.expert(number, x) for number in range(EXPERTS)]).mean(0)
    torch.testing.assert_close(out, mean, rtol=1e-4, atol=1e-4)


def test_tensors_that_the_model_has_are_not_named_again(layer: Layer) -> None:
    (site,) = find(layer)
    assert isinstance(site, FusedExperts)
    site.prepare(Execution({"moe": "batched"}))
    copies = ["experts.transposed.up", "experts.transposed.down"]
    assert list(site.named_tensors()) == (copies if layer.experts.transposed else [])


def test_it_is_captured_and_replayed(layer: Layer, x: torch.Tensor) -> None:
    own = layer(x)
    trace = condsim.capture(layer, [x], measure=False)
    (recorded,) = trace.sites
    assert (recorded.name, recorded.mechanism, recorded.branches) == ("experts", "moe", EXPERTS)
    assert recorded.top_k == TOP_K
    with condsim.force(layer, trace):
        assert torch.equal(layer(x), own)
    assert "forward" not in layer.experts.__dict__


class Scored(Layer):
    """What the router gave is read after it, too, as a balancing loss does."""

    def forward(self, x: torch.Tensor) -> Any:
        ids, weights = self.router(x)
        return self.experts(x, ids, weights), weights.mean() + ids.float().mean()


def test_what_reads_the_router_runs_in_a_baseline_too(x: torch.Tensor) -> None:
    torch.manual_seed(0)
    trace = condsim.capture(Scored().eval(), [x], measure=False)
    assert [site.name for site in trace.sites] == ["experts"]


def test_a_strategy_that_the_width_does_not_allow_is_left_out(x: torch.Tensor) -> None:
    torch.manual_seed(0)
    layer, odd = Layer().eval(), INNER + 1
    layer.experts.gate_up_proj = nn.Parameter(torch.randn(EXPERTS, 2 * odd, WIDTH))
    layer.experts.down_proj = nn.Parameter(torch.randn(EXPERTS, WIDTH, odd))
    trace = condsim.capture(layer, [x], measure=False)
    ways = {name.partition("/")[0] for name in trace.programs}
    assert {"looped", "batched", "padded"} <= ways
    assert "grouped" not in ways
    (note,) = (note for note in trace.header.notes if "grouped is left out" in note)
    assert "16 bytes" in note


class WithRoom(Experts):
    """An expert runs on the first few of its rows only."""

    def forward(
        self, hidden_states: torch.Tensor, top_k_index: torch.Tensor, top_k_weights: torch.Tensor
    ) -> torch.Tensor:
        took = F.one_hot(top_k_index, EXPERTS)
        place = took.sum(1).cumsum(0).gather(1, top_k_index)
        return super().forward(hidden_states, top_k_index, top_k_weights * (place <= 12))


def test_experts_that_drop_rows_of_a_later_batch_are_refused(x: torch.Tensor) -> None:
    torch.manual_seed(0)
    layer = Layer().eval()
    layer.experts = WithRoom(transposed=False)
    with pytest.raises(CondsimError, match=r"experts 'experts' .* rows are dropped") as error:
        condsim.capture(layer, [x, torch.randn(64, WIDTH)], measure=False)
    assert "condsim.route('NAME', 'moe'" in str(error.value)


class WithIdle(Experts):
    """More experts than weights: those after them give their rows as they are, times `factor`.

    everyone: the loop runs all experts, also those without rows.
    """

    def __init__(self, idle: int, everyone: bool, factor: float = 1.0) -> None:
        super().__init__(transposed=False)
        self.num_experts, self.everyone, self.factor = EXPERTS + idle, everyone, factor

    def forward(
        self, hidden_states: torch.Tensor, top_k_index: torch.Tensor, top_k_weights: torch.Tensor
    ) -> torch.Tensor:
        out = torch.zeros_like(hidden_states)
        took = F.one_hot(top_k_index, self.num_experts).permute(2, 1, 0)
        hit = took.sum((-1, -2)).greater(0).nonzero().flatten().tolist()
        for number in range(self.num_experts) if self.everyone else hit:
            slot, rows = torch.where(took[number])
            result = hidden_states[rows]
            if number < EXPERTS:
                result = self.expert(number, result)
            elif self.factor != 1:
                result = result * self.factor
            out.index_add_(0, rows, result * top_k_weights[rows, slot, None])
        return out


def with_idle(idle: int, everyone: bool, factor: float = 1.0) -> Layer:
    torch.manual_seed(0)
    layer = Layer()
    layer.router.scores = nn.Linear(WIDTH, EXPERTS + idle)
    layer.experts = WithIdle(idle, everyone, factor)
    return layer.eval()


@pytest.mark.parametrize("everyone", [False, True], ids=["those with rows", "all"])
@pytest.mark.parametrize("idle", [1, 3])
def test_experts_that_compute_nothing_are_branches_without_flops(
    idle: int, everyone: bool, x: torch.Tensor
) -> None:
    layer = with_idle(idle, everyone)
    trace = condsim.capture(layer, [x], measure=False)
    (site,) = trace.sites
    assert site.branch_flops[EXPERTS:] == (0.0,) * idle
    assert min(site.branch_flops[:EXPERTS]) > 0
    with FlopCounterMode(display=False) as counted, torch.no_grad():
        layer(x)
    p = condsim.simulate(trace, "raspberry-pi-5")
    assert (p.strategy, p.executed_flops) == ("looped", counted.get_total_flops())
    assert any(
        f"{idle} of {EXPERTS + idle} experts compute nothing" in n for n in trace.header.notes
    )
    assert not any("the program is not what" in note for note in trace.header.notes)


def test_experts_without_weights_that_change_their_rows_are_refused(x: torch.Tensor) -> None:
    with pytest.raises(CondsimError, match=r"experts 'experts' .* something is computed beside"):
        condsim.capture(with_idle(2, everyone=False, factor=0.5), [x], measure=False)


def test_ids_beyond_all_experts_are_refused(x: torch.Tensor) -> None:
    layer = with_idle(4, everyone=False)
    layer.experts.num_experts = 2
    layer.experts.forward = lambda x, top_k_index, top_k_weights: x
    with pytest.raises(CondsimError, match=r"sent rows for expert \d, and hold the weights of 4"):
        condsim.capture(layer, [x.repeat(9, 1)], measure=False)
