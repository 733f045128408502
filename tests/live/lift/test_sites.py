"""What a decision is: its mechanism, its name, the strategy that the forward follows."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from condsim.live.lift.meanings import NotLiftable
from condsim.live.lift.placement import Placement
from condsim.live.lift.reader import read_tape
from condsim.live.lift.sites import LiftedSite
from condsim.live.lift.tape import Tape

ROWS = 6


class Host(nn.Module):
    """A gate, a body and a head for forwards that are written below."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Linear(3, 1)
        self.body = nn.Linear(3, 3)
        self.other = nn.Linear(3, 3)

    def enters(self, x: torch.Tensor) -> torch.Tensor:
        return self.gate(x).squeeze(-1) > 0  # type: ignore[no-any-return]


Written = Callable[[Host, torch.Tensor], torch.Tensor]


def sites(forward: Written) -> list[LiftedSite]:
    """The sites of a forward [rows, 3] → [rows, 3]."""
    host = Host()

    def call(x: torch.Tensor) -> torch.Tensor:
        return forward(host, x)

    tape = Tape(host, lone=True).run(call, (torch.randn(ROWS, 3),), {})
    placement = Placement(host, "block", read_tape(tape, ROWS))
    return list(placement.sites.of_decision.values())


def gathers(host: Host, x: torch.Tensor) -> torch.Tensor:
    keep = host.enters(x)
    out = x.clone()
    out[keep] = host.body(x[keep])
    return out


def masks(host: Host, x: torch.Tensor) -> torch.Tensor:
    return torch.where(host.enters(x)[:, None], host.body(x), x)


def waits(host: Host, x: torch.Tensor) -> torch.Tensor:
    keep = host.enters(x)
    return torch.where(keep[:, None], host.body(x), x) if keep.any() else x


def chooses(host: Host, x: torch.Tensor) -> torch.Tensor:
    return torch.where(host.enters(x)[:, None], host.body(x), host.other(x))


@pytest.mark.parametrize(
    ("forward", "mechanism", "captured", "works"),
    [
        (gathers, "skip", "compacted", 1),
        (masks, "skip", "masked", 1),
        (waits, "skip", "wait", 1),
        (chooses, "multi_branch", "masked", None),
    ],
)
def test_a_decision_is_told_by_what_it_guards(
    forward: Written, mechanism: str, captured: str, works: int | None
) -> None:
    (site,) = sites(forward)
    assert (site.mechanism, site.captured, site.works) == (mechanism, captured, works)


def test_the_score_of_a_skip_is_what_lets_rows_in() -> None:
    (site,) = sites(gathers)
    assert site.scores is not None


def test_sites_are_named_after_the_module_that_decides() -> None:
    def twice(host: Host, x: torch.Tensor) -> torch.Tensor:
        return gathers(host, gathers(host, x))

    assert {site.name for site in sites(twice)} == {"block.gate", "block.gate#2"}


def test_a_choice_between_what_is_there_anyway_is_none() -> None:
    with pytest.raises(NotLiftable, match="chooses between tensors that are there anyway"):
        sites(lambda host, x: torch.where(host.enters(x)[:, None], x, x))


def test_a_decision_that_gathers_and_masks_is_refused() -> None:
    def both(host: Host, x: torch.Tensor) -> torch.Tensor:
        keep = host.enters(x)
        out = x.clone()
        out[keep] = host.body(x[keep])
        return torch.where(keep[:, None], host.other(out), out)

    with pytest.raises(NotLiftable, match="gathers rows by a decision and masks others"):
        sites(both)
