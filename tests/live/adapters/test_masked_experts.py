"""One-hot choices and ids are the same decision; a row without a one is dropped."""

from __future__ import annotations

import torch
from torch import nn

from condsim.live.adapters import find_sites
from condsim.live.adapters.masked_experts import MaskedExperts, ids_of, is_masked, one_hot_like


class Listed(nn.ModuleList):
    """Experts that are called with choices."""

    def forward(
        self, x: torch.Tensor, selected_experts: torch.Tensor, routing_weights: torch.Tensor
    ) -> torch.Tensor:
        total = torch.zeros_like(x)
        for number, expert in enumerate(self):
            rows, slots = torch.where(selected_experts[..., number] > 0)
            total.index_add_(0, rows, expert(x[rows]) * routing_weights[rows, slots, None])
        return total


def test_choices_become_ids_and_choices_again() -> None:
    ids = torch.tensor([[2], [-1], [0]])
    choices = one_hot_like(torch.empty(3, 1, 4, dtype=torch.int64), ids)
    assert choices.sum(-1).flatten().tolist() == [1, 0, 1]
    assert torch.equal(ids_of(choices), ids)


def test_a_list_that_is_called_with_choices_is_one_site() -> None:
    model = nn.Module()
    model.experts = Listed([nn.Linear(4, 4) for _ in range(3)])
    assert is_masked(model.experts)
    (site,) = [site for site in find_sites(model) if isinstance(site, MaskedExperts)]
    assert site.name == "experts"
    assert site.branches == 3


def test_lists_without_a_forward_or_of_unlike_experts_are_not() -> None:
    assert not is_masked(nn.ModuleList([nn.Linear(4, 4), nn.Linear(4, 4)]))
    assert not is_masked(Listed([nn.Linear(4, 4), nn.Linear(4, 5)]))
