import pytest
import torch
from live.lift.in_python import WIDTH, Exits, Same, WholeBatch, ready
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import condsim
from condsim.live.adapters.python_decisions import AskingForward, find, may_ask
from condsim.live.execution import Execution
from condsim.live.inputs import as_batches
from condsim.live.model import LiveModel


class Bare(nn.Module):
    """A small part first, a large one where it is not sure: no list, no gate, no threshold."""

    def __init__(self) -> None:
        super().__init__()
        self.small, self.large = nn.Linear(WIDTH, 3), nn.Linear(WIDTH, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        given = self.small(x)
        if given.softmax(-1).max() > 0.6:
            return given
        return self.large(x)


@pytest.mark.parametrize(("kind", "units"), [(Exits, 1), (WholeBatch, 3), (Bare, 1)])
def test_what_python_decides_is_captured(kind: type[nn.Module], units: int) -> None:
    model = ready(kind)
    batches = [torch.randn(units, WIDTH) for _ in range(6)]
    trace = condsim.capture(model, batches, measure=False)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        for batch in batches:
            model(batch)
    predicted = condsim.simulate(trace, "raspberry-pi-5", batch=units)
    assert predicted.executed_flops * len(batches) == pytest.approx(counter.get_total_flops())
    assert "decides in Python" in trace.header.notes[0]


def test_who_asks_and_calls_the_same_parts_is_left_alone() -> None:
    model = ready(Same)
    assert may_ask(model)
    live = LiveModel.of(model)
    live.run(as_batches(torch.randn(4, WIDTH))[0], Execution())
    assert not live.infos


def test_only_modules_with_code_that_branches_are_looked_at() -> None:
    (site,) = find(nn.Sequential(Bare(), nn.Linear(3, 3), nn.ReLU()))
    assert isinstance(site, AskingForward)
    assert site.name == "0"
