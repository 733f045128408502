from collections.abc import Callable

import pytest
import torch
from torch import nn

from condsim.capture.no_routing import no_routing
from condsim.live.inputs import as_batches
from condsim.live.model import LiveModel


class Loops(nn.Module):
    """Decides in Python, row by row."""

    def __init__(self) -> None:
        super().__init__()
        self.gate, self.body = nn.Linear(4, 1), nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = []
        for row in x:
            out.append(self.body(row) if self.gate(row) > 0 else row)
        return torch.stack(out)


def message(model: nn.Module) -> str:
    live = LiveModel.of(model.eval())
    (batch,) = as_batches(torch.ones(3, 4))
    live.run(batch)
    return no_routing(live, batch)


def test_a_model_that_decides_nothing_is_told_so() -> None:
    assert "it decides nothing" in message(nn.Linear(4, 4))


def test_experts_by_name_are_named() -> None:
    model = nn.Module()
    model.experts = nn.ModuleList([nn.Linear(4, 4)])
    model.forward = lambda x: model.experts[0](x)  # type: ignore[method-assign]
    assert message(model).startswith("found experts (ModuleList)")


def test_what_was_read_and_given_up_is_named() -> None:
    told = message(Loops())
    assert "its forward: it decides in Python" in told
    assert "condsim.route" in told


class ByNumbers(nn.Module):
    """Leaves by a number that a tensor was turned into."""

    def __init__(self, number: Callable[[torch.Tensor], float]) -> None:
        super().__init__()
        self.body, self.head, self.number = nn.Linear(4, 4), nn.Linear(4, 4), number

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.head(x)
        return y if self.number(y.softmax(-1).amax()) > 0.9 else self.head(self.body(x))


@pytest.mark.parametrize(
    "number",
    [lambda t: t.detach().numpy().max(), lambda t: max(t.reshape(-1).tolist())],
)
def test_a_model_that_decides_by_numbers_is_not_said_to_decide_nothing(
    number: Callable[[torch.Tensor], float],
) -> None:
    told = message(ByNumbers(number))
    assert "it takes numbers out of tensors" in told
    assert "decides nothing" not in told
