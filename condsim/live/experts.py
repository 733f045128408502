"""Alike experts of a lifted forward, stacked.

The strategies and baselines of `condsim.live.expert_forms` run on the weights of a list of modules.
"""

from __future__ import annotations

import torch
from torch import nn

from condsim.live.execution import BASELINES, Execution, current
from condsim.live.expert_calls import expert_room, recorded_experts
from condsim.live.expert_forms import EXPERT_FORMS, DenseExperts, DenseForms, ExpertWeights
from condsim.live.lift.stacked import stack
from condsim.mechanisms.moe import MixtureOfExperts

Routing = torch.Tensor | tuple[torch.Tensor, torch.Tensor]
"""ids [rows, k], or (ids, weights)."""


class Experts:
    """The experts of one site.

    stacks: whether they are alike and plain enough to be stacked.
    top_k: experts that a row takes, known once the site has run.
    """

    def __init__(self, site: str, modules: list[nn.Module], x: torch.Tensor) -> None:
        """x: a few rows that the experts take, [rows, hidden]."""
        self.site = site
        self.weights: ExpertWeights | None = stack(modules, x) if x.ndim == 2 else None
        self.stacks = self.weights is not None
        self.top_k = 1
        self._dense = DenseForms(site)

    def stacked(self) -> ExpertWeights:
        """The weights, where they are stacked."""
        assert self.weights is not None, f"the experts of {self.site} are not stacked"
        return self.weights

    def prepare(self, execution: Execution) -> None:
        """Build the dense network that the baseline in force needs."""
        strategy = execution.strategy(self.site, MixtureOfExperts.name)
        if self.stacks and strategy in BASELINES:
            self.dense(strategy)

    def dense(self, baseline: str) -> DenseExperts:
        """All experts (same-params), or the first k (same-flops), as one network."""
        count = self.stacked().experts if baseline == "same-params" else self.top_k
        return self._dense.first(count, self.stacked)

    def named(self) -> dict[str, torch.Tensor]:
        """The stacked tensors by name."""
        tensors = self._dense.named()
        if self.weights is not None:
            tensors |= self.weights.named(f"{self.site}.stacked")
        return tensors

    def run(self, strategy: str, x: torch.Tensor, routed: Routing | None) -> torch.Tensor:
        """The experts' result [rows, hidden].

        x: [rows, hidden]. routed: the site's decision, None in a baseline. Without weights every
        expert counts in full.
        """
        if strategy in BASELINES:
            return self.dense(strategy)(x)
        assert routed is not None
        if isinstance(routed, tuple):
            ids, weights = routed
        else:
            ids, weights = routed, torch.ones_like(routed, dtype=x.dtype)
        experts = self.stacked()
        execution = current()
        room = expert_room(execution, ids, experts.experts)
        with recorded_experts(execution, self.site, ids, experts.experts):
            return EXPERT_FORMS[strategy](experts, x, ids, weights, room)
