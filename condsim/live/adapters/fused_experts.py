"""Mixture of experts behind one call: `experts(hidden_states [T, H], index [T, k], weights [T, k])`.

This is the interface of Hugging Face transformers' mixture-of-experts families since version 5 and of modules written in their manner. The rule is the
signature and stacked 3D weights, not a class name. The experts call is watched rather than the router, because what
happens to the router's scores (grouping, bias, scaling) differs from family to family and what arrives at the experts does not.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator
from typing import Any

import torch

from condsim.live import expert_forms
from condsim.live.adapters import ADAPTERS
from condsim.live.execution import BASELINES, Execution, SiteInfo, current
from condsim.live.expert_forms import DenseExperts, ExpertWeights
from condsim.live.marks import observe
from condsim.lower import capacity

INDEX_NAMES = (
    "top_k_index",
    "router_indices",
    "selected_experts",
    "top_k_indices",
    "expert_indices",
)
WEIGHT_NAMES = ("top_k_weights", "routing_weights", "router_weights", "expert_weights")
LIBRARY_NAMES = {"looped": "eager", "grouped": "grouped_mm", "batched": "batched_mm"}


@ADAPTERS.register("fused_experts")
def find(model: torch.nn.Module) -> list[Any]:
    """Modules whose forward takes rows, indices and weights and which hold stacked projections."""
    return [FusedExperts(model, name, m) for name, m in model.named_modules() if _is_fused(m)]


def _is_fused(module: torch.nn.Module) -> bool:
    names = list(inspect.signature(module.forward).parameters)
    up = getattr(module, "gate_up_proj", getattr(module, "up_proj", None))
    down = getattr(module, "down_proj", None)
    return (
        any(n in names for n in INDEX_NAMES)
        and any(n in names for n in WEIGHT_NAMES)
        and isinstance(up, torch.Tensor)
        and up.ndim == 3
        and isinstance(down, torch.Tensor)
        and down.ndim == 3
    )


class FusedExperts:
    """One experts module of a live model."""

    def __init__(self, model: torch.nn.Module, name: str, module: torch.nn.Module) -> None:
        self.name = name
        self.module = module
        self.branches = int(getattr(module, "num_experts", _up(module).shape[0]))
        self.original = module.forward
        names = list(inspect.signature(module.forward).parameters)
        self.index_name = next(n for n in names if n in INDEX_NAMES)
        self.weight_name = next(n for n in names if n in WEIGHT_NAMES)
        self.names = names
        self.router: torch.nn.Module | None = None
        self.router_outputs = 0
        self.top_k = 1  # known once it has run
        self._siblings = _siblings(model, name)
        self._dense: dict[int, DenseExperts] = {}
        self._weights: ExpertWeights | None = None
        config = getattr(module, "config", None)
        self.library = config is not None and hasattr(type(module).forward, "__wrapped__")
        implementation = getattr(config, "_experts_implementation", None)
        self.captured = (
            {v: k for k, v in LIBRARY_NAMES.items()}.get(str(implementation), "looped")
            if self.library
            else "looped"
        )

    def offers(self) -> dict[str, tuple[str, ...]]:
        return {
            "moe": tuple(dict.fromkeys((self.captured, "looped", "grouped", "batched", "padded")))
        }

    def prepare(self, execution: Execution) -> None:
        strategy = self._strategy(execution)
        if strategy in BASELINES:
            self.dense(self._dense_experts(execution))
        elif not (self.library and strategy in LIBRARY_NAMES) and strategy != "looped":
            self.weights()

    def _strategy(self, run: Execution) -> str:
        return (
            run.strategies.get(self.name)
            or run.strategies.get("moe")
            or run.strategies.get("*")
            or self.captured
        )

    def _dense_experts(self, run: Execution) -> int:
        return self.branches if self._strategy(run) == "same-params" else self.top_k

    def named_tensors(self) -> dict[str, torch.Tensor]:
        named: dict[str, torch.Tensor] = {}
        for dense in self._dense.values():
            named |= dense.named(self.name)
        if self._weights is not None:
            named |= {
                f"{self.name}.transposed.up": self._weights.up,
                f"{self.name}.transposed.down": self._weights.down,
            }
        own = {t.untyped_storage()._cdata for t in self.module.parameters()}
        return {name: t for name, t in named.items() if t.untyped_storage()._cdata not in own}

    def weights(self) -> ExpertWeights:
        """The experts' weights as [E, out, in]; a module that stores [E, in, out] is transposed once."""
        if self._weights is None:
            up, down = _up(self.module).detach(), self.module.down_proj.detach()  # type: ignore[operator]
            if _is_transposed(self.module):
                up, down = up.transpose(1, 2).contiguous(), down.transpose(1, 2).contiguous()
            self._weights = ExpertWeights(
                up,
                down,
                _bias(self.module, True),
                _bias(self.module, False),
                _activation(self.module),
            )
        return self._weights

    def dense(self, experts: int) -> DenseExperts:
        """The first so many experts as one network."""
        if experts not in self._dense:
            self._dense[experts] = DenseExperts.of(self.weights(), experts)
        return self._dense[experts]

    @contextlib.contextmanager
    def installed(self) -> Iterator[None]:
        module, router = self.module, self.router
        restored: list[tuple[torch.nn.Module, Any]] = []
        hooks = (
            [m.register_forward_hook(self._saw_router) for m in self._siblings]
            if router is None
            else []
        )
        try:
            restored.append((module, module.__dict__.get("forward")))
            module.forward = self._forward
            if router is not None:
                restored.append((router, router.__dict__.get("forward")))
                router.forward = _Router(self, router.forward)
            yield
        finally:
            for m, before in reversed(restored):
                if before is None:
                    del m.__dict__["forward"]
                else:
                    m.forward = before
            for h in hooks:
                h.remove()

    def _saw_router(self, module: torch.nn.Module, _args: Any, out: Any) -> None:
        outs = out if isinstance(out, tuple) else (out,)
        if any(isinstance(t, torch.Tensor) and t.dtype == torch.int64 for t in outs):
            self._candidate = (module, len(outs), [id(t) for t in outs])

    def _forward(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        given = dict(zip(self.names, args, strict=False)) | kwargs
        x, ids, weights = (
            given.get(self.names[0]),
            given.get(self.index_name),
            given.get(self.weight_name),
        )
        run = current()
        strategy = self._strategy(run)
        assert x is not None
        if strategy in BASELINES:
            return self.dense(self._dense_experts(run))(x)
        assert ids is not None
        assert weights is not None
        candidate = getattr(self, "_candidate", None)
        if self.router is None and candidate is not None and id(ids) in candidate[2]:
            self.router, self.router_outputs = candidate[:2]
        self.top_k = ids.shape[1]
        if self.name not in run.sites:
            parents = tuple((f.site, f.choice) for f in run.frames)
            run.sites[self.name] = SiteInfo(
                self.name,
                "moe",
                self.branches,
                ids.shape[1],
                parents,
                has_weights=True,
                selects=True,
            )
        if run.recorder is not None:
            run.recorder.decided(
                self.name, ids, weights
            )  # the model's own: what is forced has no router
        forced, forced_weights = run.forced_now(run.sites[self.name], ids)
        if forced is not None:
            ids = run.replaced(ids, forced)
            if forced_weights is not None:
                weights = run.replaced(weights, forced_weights)
        if run.observed is not None:
            observe(run, self.name, ids, weights, None)
        if run.recorder is None:
            return self._run(strategy, x, ids, weights)
        with run.quiet():
            tokens_per_expert = torch.bincount(ids.reshape(-1), minlength=self.branches)[
                : self.branches
            ].tolist()
        room = run.room or int(capacity(ids.shape[0], ids.shape[1], self.branches))
        with run.recorder.experts(
            self.name, tokens_per_expert, x.shape[0], room, unmarked_loop=strategy == "looped"
        ):
            return self._run(strategy, x, ids, weights)

    def _run(
        self, strategy: str, x: torch.Tensor, ids: torch.Tensor, weights: torch.Tensor
    ) -> torch.Tensor:
        if self.library and strategy in LIBRARY_NAMES:
            config: Any = self.module.config
            before = config._experts_implementation
            config._experts_implementation = LIBRARY_NAMES[strategy]
            try:
                return self.original(x, ids, weights)  # type: ignore[no-any-return]
            finally:
                config._experts_implementation = before
        if strategy == "looped":
            return self.original(x, ids, weights)  # type: ignore[no-any-return]
        room = current().room or int(capacity(ids.shape[0], ids.shape[1], self.branches))
        return expert_forms.STRATEGIES[strategy](self.weights(), x, ids, weights, room)


class _Router:
    """A router that does not run while a baseline is in force."""

    def __init__(self, site: FusedExperts, forward: Any) -> None:
        self.site, self.forward = site, forward

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.site._strategy(current()) in BASELINES:
            return (None,) * self.site.router_outputs
        return self.forward(*args, **kwargs)


def _up(module: torch.nn.Module) -> torch.Tensor:
    up = getattr(module, "gate_up_proj", None)
    found = up if up is not None else module.up_proj
    assert isinstance(found, torch.Tensor)
    return found


def _bias(module: torch.nn.Module, up: bool) -> torch.Tensor | None:
    names = ("gate_up_proj_bias", "up_proj_bias") if up else ("down_proj_bias",)
    found = next((getattr(module, n) for n in names if getattr(module, n, None) is not None), None)
    return None if found is None else found.detach()


def _is_transposed(module: torch.nn.Module) -> bool:
    """True where projections are stored [E, in, out]."""
    if hasattr(module, "is_transposed"):
        return bool(module.is_transposed)
    down = module.down_proj
    assert isinstance(down, torch.Tensor)
    return _up(module).shape[1] == down.shape[2] and _up(module).shape[2] != down.shape[1]


def _activation(module: Any) -> Any:
    """[..., n] → [..., i]: the module's own gating where it has one, else the usual gated or plain activation."""
    if hasattr(module, "_apply_gate"):
        return module._apply_gate
    if getattr(module, "gate_up_proj", None) is None:
        return module.act_fn

    def gated(h: torch.Tensor) -> torch.Tensor:
        gate, up = h.chunk(2, dim=-1)
        return module.act_fn(gate) * up  # type: ignore[no-any-return]

    return gated


def _siblings(model: torch.nn.Module, name: str) -> list[torch.nn.Module]:
    parent = model.get_submodule(name.rpartition(".")[0])
    return [m for m in parent.children() if m is not model.get_submodule(name)]
