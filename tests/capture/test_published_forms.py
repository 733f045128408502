"""Ways in which people publish mixtures and gates: each expert's rows are those that it runs."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

import condsim

WIDTH, EXPERTS, ROWS = 16, 3, 24


class Parts(nn.Module):
    """A gate beside experts that note how many rows they run."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Linear(WIDTH, EXPERTS)
        self.experts = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(EXPERTS))


class Router(nn.Module):
    """makeMoE's: weights of all experts, and the chosen ones."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(WIDTH, EXPERTS)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        logits = self.linear(x)
        best, ids = logits.topk(2, dim=-1)
        sparse = torch.full_like(logits, float("-inf")).scatter(-1, ids, best)
        return sparse.softmax(-1), ids


class RouterInAModule(Parts):
    def __init__(self) -> None:
        super().__init__()
        self.gate = Router()  # type: ignore[assignment]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weights, ids = self.gate(x)
        out = torch.zeros_like(x)
        for number, expert in enumerate(self.experts):
            mine = (ids == number).any(-1)
            if mine.any():
                out[mine] += expert(x[mine]) * weights[mine, number].unsqueeze(1)
        return out


class TopOneByProbabilities(Parts):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        probs = self.gate(x).softmax(-1)
        choice = probs.argmax(-1)
        out = x.clone()
        for number, expert in enumerate(self.experts):
            rows = (choice == number).nonzero().squeeze(-1)
            if rows.numel() == 0:
                continue
            out[rows] = expert(x[rows]) * probs[rows, number : number + 1]
        return out


class DropsByMask(Parts):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        prob, choice = self.gate(x).softmax(-1).max(-1)
        onehot = torch.nn.functional.one_hot(choice, EXPERTS)
        place = (onehot.cumsum(0) * onehot).sum(-1) - 1
        keep = place < len(x) // EXPERTS
        out = torch.zeros_like(x)
        for number, expert in enumerate(self.experts):
            mine = keep & (choice == number)
            out[mine] = expert(x[mine]) * prob[mine, None]
        return out


def rows_run(model: Parts, batch: torch.Tensor) -> list[int]:
    """Rows that each expert is called on."""
    rows = [0] * EXPERTS

    def counts(number: int) -> Callable[..., None]:
        def hook(_: nn.Module, args: tuple[torch.Tensor]) -> None:
            rows[number] += len(args[0])

        return hook

    handles = [
        expert.register_forward_pre_hook(counts(number))
        for number, expert in enumerate(model.experts)
    ]
    with torch.no_grad():
        model(batch)
    for handle in handles:
        handle.remove()
    return rows


@pytest.mark.parametrize("kind", [RouterInAModule, TopOneByProbabilities, DropsByMask])
def test_rows_of_each_expert_are_those_that_it_runs(kind: type[Parts]) -> None:
    torch.manual_seed(0)
    model, batch = kind().eval(), torch.randn(ROWS, WIDTH)
    trace = condsim.capture(model, [batch], measure=False)
    (site,) = trace.sites
    ids = trace.decisions(site.name).ids
    assert site.mechanism == "moe"
    assert np.bincount(ids[ids >= 0], minlength=EXPERTS).tolist() == rows_run(model, batch)
    assert not any("is not what the model executes" in note for note in trace.header.notes)


class WholeSequences(Parts):
    """The first token of a sequence chooses the expert for all of them."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        best, which = self.gate(x[:, 0]).softmax(-1).max(-1)
        out = torch.zeros_like(x)
        for number, expert in enumerate(self.experts):
            rows = torch.nonzero(which == number).flatten()
            if len(rows):
                out[rows] = expert(x[rows]) * best[rows, None, None]
        return out


def test_a_token_chooses_for_its_whole_sequence() -> None:
    torch.manual_seed(0)
    model, batch = WholeSequences().eval(), torch.randn(ROWS, 5, WIDTH)
    trace = condsim.capture(model, [batch], measure=False)
    (site,) = trace.sites
    ids = trace.decisions(site.name).ids.reshape(-1)
    assert np.bincount(ids, minlength=EXPERTS).tolist() == rows_run(model, batch)
    found = condsim.simulate(trace, "raspberry-pi-5")
    assert found.executed_flops == ROWS * 2 * (WIDTH * EXPERTS + 5 * WIDTH * WIDTH)


class HardGate(nn.Module):
    """Gives whether a row enters, and how likely that was."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(WIDTH, 1)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        chance = torch.sigmoid(self.linear(x))
        return (chance > 0.5).float(), chance


class Skips(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gate, self.block = HardGate(), nn.Linear(WIDTH, WIDTH)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mask, _ = self.gate(x)
        return mask * self.block(x) + (1 - mask) * x


def test_a_hard_gate_beside_its_probability_is_a_skip() -> None:
    torch.manual_seed(0)
    model, batch = Skips().eval(), torch.randn(ROWS, WIDTH)
    trace = condsim.capture(model, [batch], measure=False)
    (site,) = trace.sites
    with torch.no_grad():
        entered = model.gate(batch)[0].reshape(-1).numpy()
    assert site.mechanism == "skip"
    assert (trace.decisions(site.name).ids == entered).all()
