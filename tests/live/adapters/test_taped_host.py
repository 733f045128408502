"""Tapes of a module's own forward at two sizes."""

from __future__ import annotations

import torch
from torch import nn

from condsim.live.adapters.host_call import HostCall
from condsim.live.adapters.taped_host import TAPED_ROWS, TapedHost


class Gated(nn.Module):
    """Rows above a threshold enter a layer."""

    def __init__(self) -> None:
        super().__init__()
        self.gate, self.layer = nn.Linear(4, 1), nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        enters = self.gate(x).squeeze(-1) > 0
        out = x.clone()
        out[enters] = self.layer(x[enters])
        return out


def call(block: nn.Module) -> HostCall:
    return HostCall(block.forward, (torch.randn(6, 4),), {})


def test_a_forced_run_sends_rows_both_ways_at_two_sizes() -> None:
    block = Gated()
    taped = TapedHost(block)
    tapes = taped.forced(call(block), lone=False)
    sizes = [len(tape.nodes[0].out) for tape in tapes]
    assert sizes == list(TAPED_ROWS) == list(taped.rows)
    assert taped.decides
    assert taped.called_after_decision == {block.layer}


def test_an_unforced_run_decides_nothing_by_itself() -> None:
    block = Gated()
    taped = TapedHost(block)
    for tape in taped.unforced(call(block)):
        assert not any(node.branches for node in tape.nodes)
    assert not taped.decides


def test_more_branches_take_more_rows() -> None:
    assert TapedHost(Gated(), ways=8).rows == tuple(rows + 16 for rows in TAPED_ROWS)
    assert TapedHost(nn.Sequential(nn.ModuleList([nn.Linear(1, 1)] * 3))).ways == 3
