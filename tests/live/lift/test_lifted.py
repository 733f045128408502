"""A lifted forward: it gives the forward's own result, under every strategy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from condsim.live.execution import Execution, executing
from condsim.live.lift.lifted import Lifted
from condsim.live.lift.meanings import NotLiftable
from condsim.live.lift.tape import Tape


class Skips(nn.Module):
    """Rows [batch, 3]; a body that rows may jump over."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Linear(3, 1)
        self.body = nn.Linear(3, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        keep = self.gate(x).squeeze(-1) > 0
        out = x.clone()
        out[keep] = self.body(x[keep])
        return out


class Leaves(Skips):
    """A head that rows may leave by."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits = self.gate(x)
        unsure = logits.squeeze(-1) < 0.5
        result = logits.clone()
        result[unsure] = self.body(x[unsure])[:, :1]
        return result


class Splits(Skips):
    """Two branches that both do something."""

    def __init__(self) -> None:
        super().__init__()
        self.other = nn.Linear(3, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        keep = self.gate(x) > 0
        return torch.where(keep, self.body(x), self.other(x))


class Dense(Skips):
    """Compares, and guards nothing by it."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.body(x)  # type: ignore[no-any-return]


class CountsRows(Skips):
    """Computes with the number of rows that took a branch."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        keep = self.gate(x).squeeze(-1) > 0
        out = x.clone()
        out[keep] = self.body(x[keep]) / keep.sum()
        return out


def lifted(host: nn.Module) -> Lifted:
    """A module's forward, read at two sizes."""
    tapes = []
    for rows in (8, 11):
        tapes.append(Tape(host, lone=True).run(host.forward, (torch.randn(rows, 3),), {}))
    return Lifted.of_tape(host, "block", 8, tapes[0], tapes[1])


@pytest.mark.parametrize(
    ("kind", "mechanism", "captured"),
    [
        (Skips, "skip", "compacted"),
        (Leaves, "early_exit", "compacted"),
        (Splits, "multi_branch", "masked"),
    ],
)
@torch.inference_mode()
def test_every_strategy_gives_the_forwards_own_result(
    kind: type[nn.Module], mechanism: str, captured: str
) -> None:
    torch.manual_seed(0)
    host = kind().eval()
    forward = lifted(host)
    (site,) = forward.sites.values()
    assert (site.name, site.mechanism, site.captured) == ("block.gate", mechanism, captured)
    x = torch.randn(9, 3)
    for strategy in ("compacted", "masked", "wait"):
        with executing(Execution({mechanism: strategy})):
            torch.testing.assert_close(forward(x), host(x))


@torch.inference_mode()
def test_forced_decisions_are_those_of_the_tape() -> None:
    forward = lifted(Skips())
    np.testing.assert_array_equal(forward.forced()["block.gate"], [1] + [0] * 7)


@torch.inference_mode()
def test_a_forward_without_a_guard_is_refused() -> None:
    with pytest.raises(NotLiftable, match="no decision guards a call of it"):
        lifted(Dense())


@torch.inference_mode()
def test_a_count_of_rows_is_refused() -> None:
    with pytest.raises(NotLiftable, match="computes with the number of rows"):
        lifted(CountsRows())


@torch.inference_mode()
def test_other_calls_for_other_sizes_are_refused() -> None:
    host = Skips()
    tape = Tape(host, lone=True).run(host.forward, (torch.randn(8, 3),), {})
    other = Tape(host, lone=True).run(host.body.forward, (torch.randn(11, 3),), {})
    with pytest.raises(NotLiftable, match="other calls for other batch sizes"):
        Lifted.of_tape(host, "block", 8, tape, other)
