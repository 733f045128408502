"""A trace multiplies what the model multiplies by itself, or there is none."""

import pytest
import torch
from torch import nn

import condsim
from condsim.capture.own_work import own_flops
from condsim.errors import CondsimError
from condsim.live.inputs import as_batches
from condsim.live.model import LiveModel

WIDTH = 16


class StopsEarly(nn.Module):
    """Adaptive computation time: all rows run until no row has anything left to spend."""

    def __init__(self) -> None:
        super().__init__()
        self.cell, self.halt = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        total, result = torch.zeros(len(x)), torch.zeros_like(x)
        for _ in range(4):
            x = self.cell(x).tanh()
            chance = torch.sigmoid(self.halt(x)).squeeze(-1)
            running = total < 0.99
            weight = torch.where(running, torch.minimum(chance, 1 - total), torch.zeros_like(total))
            result = result + weight.unsqueeze(-1) * x
            total = total + weight
            if not (total < 0.99).any():
                break
        return result


class LooksAhead(nn.Module):
    """A stem for later stages runs before the first exit is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.small = nn.Linear(WIDTH, 64), nn.Linear(WIDTH, WIDTH)
        self.later = nn.Linear(64, 4)
        self.heads = nn.ModuleList(nn.Linear(WIDTH, 4) for _ in range(2))
        self.threshold = 0.0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        wide = self.stem(x)
        logits: torch.Tensor = self.heads[0](self.small(x))
        if logits.softmax(-1).max() > self.threshold:
            return logits
        return self.later(wide) + self.heads[1](self.small(x))


class Cascade(nn.Module):
    """A small network answers alone where it is sure; here it always is."""

    def __init__(self) -> None:
        super().__init__()
        self.small, self.large = nn.Linear(WIDTH, 4), nn.Linear(WIDTH, 4)
        self.threshold = 0.0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.small(x)
        hard = logits.softmax(-1).amax(-1) < self.threshold
        result = logits.clone()
        if hard.any():
            result[hard] = self.large(x[hard])
        return result


def test_decisions_that_ask_for_nothing_are_said_to() -> None:
    torch.manual_seed(0)
    trace = condsim.capture(Cascade().eval(), [torch.randn(8, WIDTH)], measure=False)
    with pytest.raises(CondsimError, match="its decisions ask for no FLOPs"):
        condsim.simulate(trace, "raspberry-pi-5")


def test_a_loop_that_stops_early_is_refused_where_all_of_it_was_read() -> None:
    torch.manual_seed(0)
    with pytest.raises(CondsimError, match="FLOPs when the model runs by itself, and"):
        condsim.capture(StopsEarly().eval(), [torch.randn(8, WIDTH)], measure=False)


def test_what_runs_before_an_exit_is_asked_runs_for_all() -> None:
    torch.manual_seed(0)
    model, batch = LooksAhead().eval(), torch.randn(1, WIDTH)
    trace = condsim.capture(model, [batch], measure=False)
    found = condsim.simulate(trace, "raspberry-pi-5")
    assert found.executed_flops == 2 * WIDTH * (64 + WIDTH + 4)
    assert found.executed_flops == own_flops(LiveModel.of(model), as_batches(batch)[0])
