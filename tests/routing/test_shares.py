"""Decisions drawn by shares, and models without weights that take them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import condsim
from condsim.errors import CondsimError
from condsim.trace import Trace

UNITS, HIDDEN = 40, 12


class Gated(nn.Module):
    """A gate that says which rows enter a layer, and an exit before a second one."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Linear(HIDDEN, 2)
        self.one, self.other = nn.Linear(HIDDEN, HIDDEN), nn.Linear(HIDDEN, HIDDEN)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows: Any
        condsim.route("enters", "skip", lambda: self.gate(x).argmax(-1))
        with condsim.branch("enters", 1) as rows:
            if rows:
                x = rows.put(x, self.one(rows.take(x)))
        condsim.route("stays", "early_exit", lambda: (x.sum(-1) > 0).long())
        with condsim.branch("stays", 1) as rows:
            if rows:
                x = rows.put(x, self.other(rows.take(x)))
        return x


def captured(routing: Any) -> Trace:
    with torch.device("meta"):
        model = Gated().eval()
    return condsim.capture(model, torch.zeros(UNITS, HIDDEN), measure=False, routing=routing)


@pytest.fixture(scope="module")
def trace() -> Trace:
    return captured({"enters": 0.25, "stays": 0.75})


def test_rows_enter_in_their_shares(trace: Trace) -> None:
    enters, stays = (trace.decisions(name).ids for name in ("enters", "stays"))
    assert enters.mean() == pytest.approx(0.25, abs=0.2)
    assert stays.mean() == pytest.approx(0.75, abs=0.2)
    assert "shares (enters 0.25, stays 0.75)" in trace.header.notes[-1]


def test_it_executes_what_a_model_with_weights_executes(trace: Trace) -> None:
    torch.manual_seed(0)
    live = condsim.capture(Gated().eval(), torch.randn(UNITS, HIDDEN), measure=False)
    on_meta = captured(live)
    one, other = (condsim.simulate(of, "nvidia-h100-sxm", batch=8) for of in (live, on_meta))
    assert one.executed_flops == other.executed_flops
    assert one.speedup == other.speedup
    for ours, theirs in zip(on_meta.sites, live.sites, strict=True):
        assert ours.branch_flops == theirs.branch_flops
        np.testing.assert_array_equal(
            on_meta.decisions(ours.name).ids, live.decisions(theirs.name).ids
        )


@pytest.mark.parametrize(
    ("routing", "said"),
    [
        ({"enters": 0.5}, "site 'stays' has no share"),
        ({"enter": 0.5, "stays": 0.5}, "no site is called 'enter'; near: enters"),
        (1.5, "the share of enters must be from 0 to 1, got 1.5"),
        (condsim.routing("mixtral", layers=2, experts=4, top_k=2), "pass routing=SHARE"),
    ],
)
def test_what_describes_no_decision_is_said(routing: Any, said: str) -> None:
    with pytest.raises(CondsimError, match=said):
        captured(routing)
