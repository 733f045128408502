"""What every adapter's site has without writing it, and where adapters are looked for."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from condsim.live.adapters import ADAPTERS, LiveSite, find_sites
from condsim.live.execution import Execution


class Doubled(LiveSite):
    """A layer whose result is doubled."""

    def offers(self) -> dict[str, tuple[str, ...]]:
        return {"skip": ("compacted",)}

    def forward(self, own_forward: Any, *args: Any, **kwargs: Any) -> Any:
        return 2 * own_forward(*args, **kwargs)


def test_a_site_has_defaults_for_all_but_its_forward_and_its_strategies() -> None:
    block = nn.Linear(2, 2)
    site = Doubled("layer", block)
    assert site.sites == ("layer",)
    assert site.router is block
    assert (site.notes, site.hint, site.reason, site.guards) == ([], "", None, False)
    site.prepare(Execution())
    assert site.named_tensors() == {}


def test_a_site_is_installed_for_a_while() -> None:
    block, x = nn.Linear(2, 2), torch.randn(3, 2)
    own = block(x)
    with Doubled("layer", block).installed():
        assert torch.equal(block(x), 2 * own)
    assert torch.equal(block(x), own)


def test_every_adapter_is_registered_by_its_file() -> None:
    assert set(ADAPTERS) == {
        "expert_list",
        "fused_experts",
        "masked_experts",
        "own_forward",
        "predicted_blocks",
        "python_decisions",
        "stacked_parameters",
    }


def test_a_dense_model_has_no_sites() -> None:
    assert find_sites(nn.Sequential(nn.Linear(4, 4), nn.ReLU())) == []
