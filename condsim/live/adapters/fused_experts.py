"""Mixture of experts behind one call: experts(hidden states, indices, weights).

The hidden states are [tokens, hidden] or [units, positions, hidden], indices and weights
[tokens, k]. This is the interface of
Hugging Face transformers' mixture-of-experts families since version 5 and of modules written in
their manner. The rule is the signature and stacked weights, not a class name. The experts call
is watched rather than the router, because what happens to the router's scores (grouping, bias,
scaling) differs from family to family and what arrives at the experts does not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn.utils.parametrize import is_parametrized

from condsim.errors import CondsimError, summary
from condsim.live.adapters.base import ADAPTERS, OTHER_RESULT, LiveSite, left_out
from condsim.live.adapters.beside_router import ExpertsBesideRouter
from condsim.live.adapters.stacked_projections import (
    INDEX_NAMES,
    WEIGHT_NAMES,
    argument_names,
    expert_weights,
    first_attribute,
    is_fused,
    named_among,
    stacked_experts,
)
from condsim.live.equality import close, tensors_of
from condsim.live.execution import BASELINES, Execution, SiteInfo, current
from condsim.live.expert_calls import expert_room, recorded_experts
from condsim.live.expert_forms import EXPERT_FORMS, DenseExperts, DenseForms, ExpertWeights
from condsim.live.router_calls import RouterCall
from condsim.mechanisms import MECHANISMS
from condsim.mechanisms.moe import MixtureOfExperts

LIBRARY_NAMES = {"looped": "eager", "grouped": "grouped_mm", "batched": "batched_mm"}
"""Strategy → what transformers calls it."""
IMPLEMENTATION = "_experts_implementation"
"""Where transformers' configurations keep that name."""
LOOPED = "looped"
MARK = MECHANISMS[MixtureOfExperts.name].how_to_mark
TRIED_ROWS = 16
"""Rows on which strategies are tried at a time."""
IDLE = "some experts compute nothing and have no weights"
"""Why a strategy is left out that needs the weights of every expert."""
MERGE = (
    "its weights are made anew in each call, by adapters as it seems: "
    "merge them into the weights first (peft: model.merge_and_unload())"
)


@ADAPTERS.register("fused_experts")
def find(model: nn.Module) -> list[LiveSite]:
    """Modules that are called with rows, indices and weights and hold stacked projections."""
    sites: list[LiveSite] = []
    for name, module in model.named_modules():
        if is_fused(module):
            parent = model.get_submodule(name.rpartition(".")[0])
            siblings = [child for child in parent.children() if child is not module]
            sites.append(FusedExperts(name, module, siblings))
    return sites


class FusedExperts(ExpertsBesideRouter):
    """One experts module of a live model.

    computing: experts that have weights; those after them give their rows as they are.
    library: transformers can run the module by another implementation.
    captured: the strategy that the module itself runs.
    """

    def __init__(self, name: str, module: nn.Module, siblings: list[nn.Module]) -> None:
        """siblings: the modules beside it, one of which may be its router."""
        super().__init__(name, module, siblings)
        stacked = stacked_experts(module)
        said = int(first_attribute(module, "num_experts") or 0)
        self.computing = min(stacked)
        self.branches = max(said, *stacked)
        self.arguments = argument_names(module)
        self.index_name = named_among(self.arguments, INDEX_NAMES) or ""
        self.weight_name = named_among(self.arguments, WEIGHT_NAMES) or ""
        config = first_attribute(module, "config")
        self.library = config is not None and hasattr(type(module).forward, "__wrapped__")
        self.captured = _library_strategy(config) if self.library else LOOPED
        self.hint = (
            f"experts {name!r} ({type(module).__name__}) run in a loop that cannot be told apart "
            f"into {self.branches} experts; {MARK}"
        )
        self.left_out: dict[str, str] = {}
        self._tried = False
        self._router_call: RouterCall | None = None
        self._dense = DenseForms(name)
        self._weights: ExpertWeights | None = None

    @property
    def notes(self) -> list[str]:
        notes = [left_out(self.name, *problem) for problem in self.left_out.items()]
        if self.idle:
            notes.append(
                f"{self.name}: {len(self.idle)} of {self.branches} experts compute nothing; "
                "baselines run those that have weights"
            )
        return notes

    @property
    def idle(self) -> range:
        """Experts that compute nothing."""
        return range(self.computing, self.branches)

    def offers(self) -> dict[str, tuple[str, ...]]:
        strategies = dict.fromkeys((self.captured, LOOPED, *EXPERT_FORMS))
        offered = [strategy for strategy in strategies if strategy not in self.left_out]
        return {MixtureOfExperts.name: tuple(offered)}

    def prepare(self, execution: Execution) -> None:
        strategy = self._strategy(execution)
        if strategy in BASELINES:
            self._dense_network(strategy)
        elif not self._runs_itself(strategy):
            self.weights()

    def _runs_itself(self, strategy: str) -> bool:
        """Whether the module's own forward can run a strategy."""
        return strategy == LOOPED or (self.library and strategy in LIBRARY_NAMES)

    def _dense_network(self, baseline: str) -> DenseExperts:
        """All experts (same-params), or the first k (same-flops), as one network."""
        count = self.branches if baseline == "same-params" else self.top_k
        count = min(count, self.computing)
        return self._dense.first(count, self.weights)

    def made_tensors(self) -> dict[str, torch.Tensor]:
        named = self._dense.named()
        if self._weights is not None:
            named |= self._weights.named(f"{self.name}.transposed")
        return named

    def named_tensors(self) -> dict[str, torch.Tensor]:
        storages = {_storage(parameter) for parameter in self.block.parameters()}
        own: dict[str, torch.Tensor] = {}
        for name, tensor in self.made_tensors().items():
            if _storage(tensor) not in storages:
                own[name] = tensor
        return own

    def weights(self) -> ExpertWeights:
        """The experts' weights as [E, out, in].

        A module that stores [E, in, out] is transposed once, so that it can be trained later.
        """
        if self._weights is None:
            with torch.inference_mode(False), torch.no_grad():
                self._weights = expert_weights(self.block, self.computing)
        return self._weights

    def _saw_call(self, module: nn.Module, args: Any, kwargs: Any, out: Any) -> None:
        """Keep in mind a sibling's call whose result may be the decision."""
        self._router_call = RouterCall.of(module, args, kwargs, out) or self._router_call

    def _find_router(self, ids: torch.Tensor) -> None:
        """The router is the sibling that gave the very tensor `ids`."""
        call = self._router_call
        if self.router is None and call is not None and call.gave(ids):
            self.router, self._stand_in = call.module, call.stand_in

    def forward(self, own_forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        given = dict(zip(self.arguments, args, strict=False)) | kwargs
        x = given[self.arguments[0]]
        execution = current()
        strategy = self._strategy(execution)
        rows = x if x.ndim == 2 else x.flatten(0, -2)
        if strategy in BASELINES:
            return self._dense_network(strategy)(rows).view(x.shape)
        ids, weights = self._decided(execution, given[self.index_name], given[self.weight_name])
        on_rows = own_forward if x.ndim == 2 else _on_rows(own_forward)
        if not self._tried:
            self._tried = True
            if is_parametrized(self.block):
                self.hint = f"experts {self.name!r} ({type(self.block).__name__}): {MERGE}"
            with execution.quiet():
                self._try(on_rows, rows[:TRIED_ROWS], ids[:TRIED_ROWS], weights[:TRIED_ROWS])
        looped = strategy == LOOPED
        experts = (self.name, ids, self.branches)
        with recorded_experts(execution, *experts, unmarked_loop=looped, idle=self.idle):
            if self._runs_itself(strategy):
                result = self._run_itself(own_forward, strategy, x, ids, weights)
            else:
                room = expert_room(execution, ids, self.branches)
                form = EXPERT_FORMS[strategy]
                result = form(self.weights(), rows, ids, weights, room).view(x.shape)
        if execution.observes_itself and not self.library:
            self._check(result, rows, ids, weights)
        return result

    def _try(
        self, own_forward: Callable[..., Any], x: torch.Tensor, ids: torch.Tensor, weights: Any
    ) -> None:
        """Find the strategies that fail on a few rows, or give another result than the module.

        Sets `left_out`.
        """
        if x.is_meta:
            return
        own = tensors_of(self._run_itself(own_forward, self.captured, x, ids, weights))
        for strategy in self.offers()[MixtureOfExperts.name]:
            if strategy in (self.captured, LOOPED):
                continue
            try:
                if self._runs_itself(strategy):
                    result = self._run_itself(own_forward, strategy, x, ids, weights)
                else:
                    result = self._stacked(strategy, x, ids, weights)
            except Exception as error:  # what torch refuses of these sizes and dtypes
                self.left_out[strategy] = summary(error)
                continue
            if not close(tensors_of(result), own):
                self.left_out[strategy] = OTHER_RESULT
            elif self.idle:
                self.left_out[strategy] = IDLE

    def _stacked(
        self, strategy: str, x: torch.Tensor, ids: torch.Tensor, weights: torch.Tensor
    ) -> torch.Tensor:
        """The result of a form of the experts, none of whose rows is dropped."""
        form, room = EXPERT_FORMS[strategy], ids.numel()
        if not self.idle:
            return form(self.weights(), x, ids, weights, room)
        idle = ids >= self.computing
        computed = form(self.weights(), x, ids * ~idle, weights * ~idle, room)
        return computed + x * (weights * idle).sum(1, keepdim=True).to(x.dtype)

    def _check(self, own: Any, x: torch.Tensor, ids: torch.Tensor, weights: torch.Tensor) -> None:
        """Raises CondsimError where experts of one's own do not run just the rows sent to them."""
        forms = [form for form in EXPERT_FORMS if self.left_out.get(form, IDLE) == IDLE]
        agrees = OTHER_RESULT not in self.left_out.values()
        if forms:
            parts = []
            for few in zip(*(whole.split(TRIED_ROWS) for whole in (x, ids, weights)), strict=True):
                parts.append(self._stacked(forms[0], *few))
            flat = [tensor.reshape(x.shape) for tensor in tensors_of(own)]
            agrees = close([torch.cat(parts)], flat)
        if not agrees:
            raise CondsimError(
                f"experts {self.name!r} ({type(self.block).__name__}) give another result than "
                f"their {self.branches} experts on the rows that are sent to each: rows are "
                f"dropped, or something is computed beside the projections; {MARK}"
            )

    def _decided(
        self, execution: Execution, ids: torch.Tensor, weights: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The decision that stands, (ids, weights)."""
        self._find_router(ids)
        self.top_k = ids.shape[1]
        if execution.observes_itself:
            self._require_known(ids)
        if self.name not in execution.sites:
            execution.sites[self.name] = SiteInfo(
                self.name,
                MixtureOfExperts.name,
                self.branches,
                self.top_k,
                execution.parents(),
                has_weights=True,
                selects=True,
            )
        ids, settled_weights = execution.settle(execution.sites[self.name], ids, weights)
        assert settled_weights is not None
        return ids, settled_weights

    def _require_known(self, ids: torch.Tensor) -> None:
        """Raises CondsimError for ids that no expert has, as far as can be seen."""
        last = int(ids.max()) if ids.numel() else 0
        if last >= self.branches:
            raise CondsimError(
                f"experts {self.name!r} ({type(self.block).__name__}) are sent rows for expert "
                f"{last}, and hold the weights of {self.branches}; {MARK}"
            )

    def _run_itself(
        self,
        own_forward: Callable[..., Any],
        strategy: str,
        x: torch.Tensor,
        ids: torch.Tensor,
        weights: torch.Tensor,
    ) -> Any:
        """The result of the module's own forward, by the library's implementation if it has one."""
        if not self.library:
            return own_forward(x, ids, weights)
        config = self.block.config
        before = getattr(config, IMPLEMENTATION)
        setattr(config, IMPLEMENTATION, LIBRARY_NAMES[strategy])
        try:
            return own_forward(x, ids, weights)
        finally:
            setattr(config, IMPLEMENTATION, before)


def _on_rows(own_forward: Callable[..., Any]) -> Callable[..., Any]:
    """A forward of [units, positions, hidden] as one of rows [rows, hidden]."""

    def forward(rows: torch.Tensor, *decision: torch.Tensor) -> Any:
        return own_forward(rows.unsqueeze(0), *decision).flatten(0, 1)

    return forward


def _library_strategy(config: Any) -> str:
    """The strategy that transformers is configured to run."""
    implementation = str(getattr(config, IMPLEMENTATION, None))
    for strategy, name in LIBRARY_NAMES.items():
        if name == implementation:
            return strategy
    return LOOPED


def _storage(tensor: torch.Tensor) -> int:
    """The identity of a tensor's memory, also on the meta device."""
    storage: int = tensor.untyped_storage()._cdata
    return storage
