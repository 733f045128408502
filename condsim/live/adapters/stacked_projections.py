"""How a module of experts is called and stores its projections.

The names of its arguments and of its two stacked weights [experts, ...] count, and their sizes.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from condsim.live.adapters.flat_projections import flat_projections
from condsim.live.expert_forms import ExpertWeights

INDEX_NAMES = (
    "top_k_index",
    "router_indices",
    "selected_experts",
    "top_k_indices",
    "expert_indices",
)
WEIGHT_NAMES = ("top_k_weights", "routing_weights", "router_weights", "expert_weights")
UP_NAMES = ("gate_up_proj", "up_proj")
UP_BIASES = ("gate_up_proj_bias", "up_proj_bias")


def is_fused(module: nn.Module) -> bool:
    """Whether a module is called with indices and weights and holds stacked projections."""
    arguments = argument_names(module)
    if not named_among(arguments, INDEX_NAMES) or not named_among(arguments, WEIGHT_NAMES):
        return False
    if _is_stacked(up_projection(module)) and _is_stacked(down_projection(module)):
        return True
    return flat_projections(module) is not None


def _is_stacked(projection: Any) -> bool:
    return isinstance(projection, torch.Tensor) and projection.ndim == 3


def argument_names(module: nn.Module) -> list[str]:
    """The arguments of a module's forward."""
    return list(inspect.signature(module.forward).parameters)


def named_among(names: list[str], known: tuple[str, ...]) -> str | None:
    """The first of the names that is known; None without any."""
    for name in names:
        if name in known:
            return name
    return None


def first_attribute(module: nn.Module, *names: str) -> Any:
    """The first of the attributes that a module has and that is not None; None without any."""
    for name in names:
        value = getattr(module, name, None)
        if value is not None:
            return value
    return None


def up_projection(module: nn.Module) -> Any:
    return first_attribute(module, *UP_NAMES)


def down_projection(module: nn.Module) -> Any:
    return first_attribute(module, "down_proj")


def stacked_experts(module: nn.Module) -> tuple[int, int]:
    """How many experts the weights of each of the two projections are stacked for."""
    flat = flat_projections(module)
    if flat is not None:
        return flat.experts, flat.experts
    return len(up_projection(module)), len(down_projection(module))


def expert_weights(module: nn.Module, count: int) -> ExpertWeights:
    """The first experts' weights as [count, out, in].

    Those of a module that stores [experts, in, out] are transposed, which copies them.
    """
    flat = flat_projections(module)
    if flat is not None:
        up, down = flat.first(count)
        return ExpertWeights(up, down, None, None, _usual_activation(flat.activate, flat.gated))
    up = up_projection(module).detach()[:count]
    down = down_projection(module).detach()[:count]
    if is_transposed(module):
        up = up.transpose(1, 2).contiguous()
        down = down.transpose(1, 2).contiguous()
    up_bias = _bias(module, *UP_BIASES)
    down_bias = _bias(module, "down_proj_bias")
    return ExpertWeights(up, down, up_bias, down_bias, activation(module))


def _bias(module: nn.Module, *names: str) -> torch.Tensor | None:
    bias = first_attribute(module, *names)
    return None if bias is None else bias.detach()


def is_transposed(module: nn.Module) -> bool:
    """Whether projections are stored [experts, in, out]."""
    if hasattr(module, "is_transposed"):
        return bool(module.is_transposed)
    up, down = up_projection(module), down_projection(module)
    reads_hidden_first = up.shape[1] == down.shape[2]
    reads_hidden_last = up.shape[2] == down.shape[1]
    return reads_hidden_first and not reads_hidden_last


def activation(module: Any) -> Callable[[torch.Tensor], torch.Tensor]:
    """What stands between the projections, [..., n] → [..., i].

    It is the module's own gating where it has one, else the usual gated or plain activation.
    """
    if hasattr(module, "_apply_gate") and getattr(module, "has_gate", True):
        apply_gate: Callable[[torch.Tensor], torch.Tensor] = module._apply_gate
        return apply_gate
    return _usual_activation(module.act_fn, first_attribute(module, "gate_up_proj") is not None)


def _usual_activation(
    activate: Callable[[torch.Tensor], torch.Tensor], gated: bool
) -> Callable[[torch.Tensor], torch.Tensor]:
    """A plain activation, or one whose first half gates the second."""
    if not gated:
        return activate

    def gate_times_up(h: torch.Tensor) -> torch.Tensor:
        gate, up = h.chunk(2, dim=-1)
        return activate(gate) * up

    return gate_times_up
