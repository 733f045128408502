"""Alike experts of a lifted forward, stacked: the strategies and baselines of `condsim.live.expert_forms` on the weights of a list of modules."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from condsim.live import expert_forms
from condsim.live.execution import BASELINES, Execution, current
from condsim.live.expert_forms import DenseExperts, ExpertWeights
from condsim.live.lift.stacked import stack
from condsim.lower import capacity


class Experts:
    """The experts of one site. x: a few rows that they take. stacks: whether they are alike and plain enough."""

    def __init__(self, site: str, modules: list[nn.Module], x: torch.Tensor) -> None:
        self.site = site
        self.weights: ExpertWeights | None = stack(modules, x) if x.ndim == 2 else None
        self.stacks = self.weights is not None
        self.top_k = 1  # known once it has run
        self._dense: dict[int, DenseExperts] = {}

    def prepare(self, execution: Execution) -> None:
        """Stack what the strategy in force needs."""
        if self.stacks and (strategy := execution.strategy(self.site, "moe")) in BASELINES:
            self.dense(strategy)

    def dense(self, strategy: str) -> DenseExperts:
        """All experts, or the first k, as one network."""
        assert self.weights is not None
        count = self.weights.experts if strategy == "same-params" else self.top_k
        if count not in self._dense:
            self._dense[count] = DenseExperts.of(self.weights, count)
        return self._dense[count]

    def named(self) -> dict[str, torch.Tensor]:
        """The stacked tensors under names of their own."""
        found: dict[str, torch.Tensor] = {}
        for dense in self._dense.values():
            found |= dense.named(self.site)
        if self.weights is not None:
            w = self.weights
            stacked = {"up": w.up, "down": w.down, "up_bias": w.up_bias, "down_bias": w.down_bias}
            found |= {f"{self.site}.stacked.{n}": t for n, t in stacked.items() if t is not None}
        return found

    def run(self, strategy: str, x: torch.Tensor, routed: Any) -> torch.Tensor:
        """x [rows, hidden]; routed: (ids, weights) [rows, k], ids alone, or None in a baseline. Returns [rows, hidden]."""
        if strategy in BASELINES:
            return self.dense(strategy)(x)
        assert self.weights is not None
        ids, weights = (
            routed
            if isinstance(routed, tuple)
            else (routed, torch.ones_like(routed, dtype=x.dtype))
        )
        run = current()
        room = run.room or int(capacity(ids.shape[0], ids.shape[1], self.weights.experts))
        if run.recorder is None:
            return expert_forms.STRATEGIES[strategy](self.weights, x, ids, weights, room)
        with run.quiet():
            tokens_per_expert = torch.bincount(
                ids.reshape(-1), minlength=self.weights.experts
            ).tolist()
        with run.recorder.experts(self.site, tokens_per_expert, x.shape[0], room):
            return expert_forms.STRATEGIES[strategy](self.weights, x, ids, weights, room)
