"""What is on the tape of a forward."""

from __future__ import annotations

import torch
from torch import nn

from condsim.live.lift.nodes import Fork, Ref
from condsim.live.lift.tape import Tape, tensor_of


class Gated(nn.Module):
    """Rows [batch, 3]; a comparison, a choice and a submodule."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Linear(3, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits = self.gate(x)
        enters = logits.sum(-1) > 0
        chosen = logits.argmax(-1)
        return x + enters[:, None] * chosen[:, None]


def taped(lone: bool = True, rows: int = 6) -> Tape:
    """The tape of the module above."""
    host = Gated()
    return Tape(host, lone).run(host.forward, (torch.randn(rows, 3),), {})


def test_a_submodule_is_one_node() -> None:
    tape = taped()
    assert tape.nodes[0].is_input
    assert isinstance(tape.nodes[1].module, nn.Linear)
    assert tape.nodes[1].args == (Ref(0),)
    assert [node.name for node in tape.nodes[2:5]] == ["sum", "gt", "argmax"]
    assert tape.output == Ref(len(tape.nodes) - 1)


def test_decisions_send_rows_every_way() -> None:
    for lone in (True, False):
        nodes = {node.name: node for node in taped(lone).nodes}
        assert nodes["gt"].fork == Fork(2)
        assert nodes["gt"].decided().tolist() == [lone] + [not lone] * 5
        assert nodes["argmax"].fork == Fork(4)
        assert nodes["argmax"].decided().tolist() == [0, 1, 2, 3, 0, 1]


def test_a_ref_names_a_tensor() -> None:
    tape = taped()
    assert tensor_of(tape, Ref(1)).shape == (6, 4)


def test_nothing_stays_behind() -> None:
    host = Gated()
    Tape(host, lone=True).run(host.forward, (torch.randn(6, 3),), {})
    assert "forward" not in host.gate.__dict__


def test_several_choices_are_slots() -> None:
    host = Gated()

    def top_two(x: torch.Tensor) -> torch.Tensor:
        return host.gate(x).topk(2, dim=-1)[1]

    tape = Tape(host, lone=True).run(top_two, (torch.randn(6, 3),), {})
    (topk,) = [node for node in tape.nodes if node.name == "topk"]
    assert topk.fork == Fork(4, item=1, slots=2)
