"""A list of experts that is called itself: experts(rows, one-hot choices, weights).

So transformers' Switch Transformers do it. The rows are [rows, hidden], the choices [rows, slots,
experts] with a one at the expert of each slot, and the weights [rows, slots]. A row without a one
is dropped: its expert has no room for it, and no expert runs on it. The rule is the signature and
the list, not a class name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from condsim.errors import CondsimError
from condsim.live.adapters.base import ADAPTERS, LiveSite, unstacked
from condsim.live.adapters.beside_router import ExpertsBesideRouter
from condsim.live.adapters.stacked_projections import (
    INDEX_NAMES,
    WEIGHT_NAMES,
    argument_names,
    named_among,
)
from condsim.live.adapters.structure import calls_itself, experts_in
from condsim.live.execution import BASELINES, Execution, SiteInfo, current, executing
from condsim.live.expert_calls import recorded_experts
from condsim.live.experts import Experts
from condsim.live.router_calls import StandIn
from condsim.mechanisms import MECHANISMS
from condsim.mechanisms.base import NOT_REACHED
from condsim.mechanisms.moe import MixtureOfExperts

LOOPED = "looped"
"""The strategy that such experts run."""
MARK = MECHANISMS[MixtureOfExperts.name].how_to_mark


@ADAPTERS.register("masked_experts")
def find(model: nn.Module) -> list[LiveSite]:
    """Lists of alike experts that are called with rows, choices and weights."""
    sites: list[LiveSite] = []
    for name, module in model.named_modules():
        if is_masked(module):
            parent = model.get_submodule(name.rpartition(".")[0])
            siblings = [child for child in parent.children() if child is not module]
            sites.append(MaskedExperts(name, module, siblings))
    return sites


def is_masked(module: nn.Module) -> bool:
    """Whether a module is a list of alike experts that is called with choices and weights."""
    if not calls_itself(module):
        return False
    arguments = argument_names(module)
    index, weight = named_among(arguments, INDEX_NAMES), named_among(arguments, WEIGHT_NAMES)
    return index is not None and weight is not None


class MaskedExperts(ExpertsBesideRouter):
    """One such list of a live model. It runs as it is written, or as a dense network."""

    def __init__(self, name: str, module: nn.Module, siblings: list[nn.Module]) -> None:
        """siblings: the modules beside it, one of which may be its router."""
        super().__init__(name, module, siblings)
        self.experts = experts_in(module)
        self.branches = len(self.experts)
        self.arguments = argument_names(module)
        self.index_name = named_among(self.arguments, INDEX_NAMES) or ""
        self.weight_name = named_among(self.arguments, WEIGHT_NAMES) or ""
        self._results: list[tuple[nn.Module, list[torch.Tensor], StandIn]] = []
        self._dense: Experts | None = None
        self._drops = False

    @property
    def notes(self) -> list[str]:
        notes = []
        if self._drops:
            notes.append(
                f"{self.name}: rows beyond an expert's room are dropped, as many in any batch"
            )
        if self._dense is not None and not self._dense.stacks:
            notes.append(unstacked(self.name))
        return notes

    def offers(self) -> dict[str, tuple[str, ...]]:
        return {MixtureOfExperts.name: (LOOPED,)}

    def prepare(self, execution: Execution) -> None:
        if self._dense is not None:
            self._dense.prepare(execution)

    def named_tensors(self) -> dict[str, torch.Tensor]:
        return {} if self._dense is None else self._dense.named()

    def _saw_call(self, module: nn.Module, args: Any, kwargs: Any, out: Any) -> None:
        """Keep in mind what a sibling gave: the choices may be among it."""
        results = out if isinstance(out, tuple) else (out,)
        tensors = [result for result in results if isinstance(result, torch.Tensor)]
        self._results.append((module, tensors, StandIn.of(args, kwargs, out)))

    def _find_router(self, choices: torch.Tensor) -> None:
        """The router is the sibling that gave the memory in which the choices lie."""
        for module, tensors, stand_in in self._results:
            if any(_same_memory(tensor, choices) for tensor in tensors):
                self.router, self._stand_in = module, stand_in
        self._results.clear()

    def forward(self, own_forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        given = dict(zip(self.arguments, args, strict=False)) | kwargs
        x = given[self.arguments[0]]
        choices, weights = given[self.index_name], given[self.weight_name]
        execution = current()
        if self._dense is None:
            self._dense = self._stacked(x[:2])
        self._require_choices(choices)
        self.top_k = self._dense.top_k = choices.shape[1]
        strategy = self._strategy(execution)
        if strategy in BASELINES:
            return self._as_dense(strategy, x)
        if self.router is None:
            self._find_router(choices)
        ids, choices, weights = self._settled(execution, choices, weights)
        with execution.quiet():
            kept = ids[ids >= 0].unsqueeze(1)
        experts = (self.name, kept, self.branches)
        with recorded_experts(execution, *experts, has_room=False, unmarked_loop=True):
            return own_forward(x, choices, weights)

    def _stacked(self, x: torch.Tensor) -> Experts:
        """The experts for baselines. They run first, so that what watches them has read them.

        x: a few rows, [rows, hidden].
        """
        with current().quiet(), executing(Execution()):
            for expert in self.experts:
                expert(x)
            return Experts(self.name, self.experts, x)

    def _require_choices(self, choices: torch.Tensor) -> None:
        """Raises CondsimError where the choices are not one-hot over the experts."""
        if choices.ndim != 3 or choices.shape[-1] != self.branches:
            raise CondsimError(
                f"experts {self.name!r} ({type(self.block).__name__}) are called with choices of "
                f"shape {tuple(choices.shape)}, not [rows, slots, {self.branches}]; {MARK}"
            )

    def _as_dense(self, baseline: str, x: torch.Tensor) -> torch.Tensor:
        """All experts (same-params), or as many as a row takes, averaged over every row."""
        assert self._dense is not None
        if self._dense.stacks:
            return self._dense.run(baseline, x, None)
        experts = self.experts if baseline == "same-params" else self.experts[: self.top_k]
        total: torch.Tensor = experts[0](x)
        for expert in experts[1:]:
            total = total + expert(x)
        return total / len(experts)

    def _settled(
        self, execution: Execution, choices: torch.Tensor, weights: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The decision that stands: (ids [rows, slots], choices, weights)."""
        with execution.quiet():
            own = ids_of(choices)
        info = self._info(execution)
        if execution.observes_itself:
            self._drops = self._drops or bool((own < 0).any())
        ids, settled_weights = execution.settle(info, own, weights)
        if execution.recorder is not None:
            execution.recorder.decided(self.name, choices, weights)
        assert settled_weights is not None
        if ids is not own:
            with execution.quiet():
                choices = one_hot_like(choices, ids)
        return ids, choices, settled_weights

    def _info(self, execution: Execution) -> SiteInfo:
        if self.name not in execution.sites:
            execution.sites[self.name] = SiteInfo(
                self.name,
                MixtureOfExperts.name,
                self.branches,
                self.top_k,
                execution.parents(),
                has_weights=True,
            )
        return execution.sites[self.name]


def ids_of(choices: torch.Tensor) -> torch.Tensor:
    """The expert of each slot, -1 where there is none: int64 [rows, slots].

    choices: [rows, slots, experts], zero but at the expert.
    """
    chosen = choices != 0
    ids = chosen.int().argmax(-1)
    return ids.masked_fill(~chosen.any(-1), NOT_REACHED)


def one_hot_like(choices: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """Choices of other ids, in the dtype and memory layout of the model's own.

    ids: int64 [rows, slots], -1 for a row that is dropped.
    """
    ones = torch.nn.functional.one_hot(ids.clamp(min=0), choices.shape[-1])
    ones = ones * (ids >= 0).unsqueeze(-1)
    return torch.empty_like(choices).copy_(ones)


def _same_memory(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Whether two tensors lie in one storage, also on the meta device."""
    same: bool = one.untyped_storage()._cdata == other.untyped_storage()._cdata
    return same
