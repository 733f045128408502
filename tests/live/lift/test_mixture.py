"""A forward around a mixture that was found by value."""

from __future__ import annotations

import pytest
import torch
from live.lift.test_by_value import EXPERTS, HIDDEN, OneHot, Sorted

from condsim.live.execution import Execution, executing
from condsim.live.lift.by_value import find_mixture
from condsim.live.lift.meanings import NotLiftable
from condsim.live.lift.mixture import LiftedMixture
from condsim.live.lift.tape import Tape


def lifted(block: OneHot | Sorted) -> LiftedMixture:
    tapes = []
    for count, positions in ((20, 3), (26, 5)):
        x = torch.randn(count, positions, HIDDEN)
        tapes.append(Tape(block, lone=False, ways=EXPERTS).run(block.forward, (x,), {}))
    found = find_mixture(tapes[0], list(block.experts))
    return LiftedMixture("moe", (tapes[0], tapes[1]), list(block.experts), found)


@torch.no_grad()
@pytest.mark.parametrize("kind", [OneHot, Sorted])
def test_it_gives_the_same_at_other_sizes(kind: type[OneHot | Sorted]) -> None:
    torch.manual_seed(0)
    block = kind().eval()
    forward = lifted(block)
    x = torch.randn(7, 5, HIDDEN)
    for strategy in ("looped", "grouped"):
        with executing(Execution({"moe": strategy})):
            assert forward.agrees(block(x), forward(x))


@torch.no_grad()
def test_a_loop_over_rows_makes_other_calls_at_another_size() -> None:
    class RowByRow(Sorted):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            out = super().forward(x)
            return torch.stack([row * 1.0 for row in out])

    with pytest.raises(NotLiftable, match="other calls"):
        lifted(RowByRow())
