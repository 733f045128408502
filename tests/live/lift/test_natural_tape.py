import torch
from torch import nn

from condsim.live.lift.natural_tape import NaturalTape, Seen


class Masked(nn.Module):
    """A mask of positions beside a threshold of what a layer gives."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        given = self.layer(x)
        before = torch.arange(8) > 3
        hidden = torch.where(before, given, 0.0)
        return hidden * (given > 0)


def test_a_choice_by_positions_is_not_one_by_data() -> None:
    model = Masked()
    tape = NaturalTape(model).run(model, (torch.randn(4, 8),), {})
    seen = Seen.of(model, tape, units=4)
    by_data = {node.name: seen.is_of_data(node) for node in seen.named({"where"})}
    compared = [seen.is_of_data(node) for node in seen.named({"gt"})]
    assert by_data == {"where": False}
    assert compared == [False, True]
