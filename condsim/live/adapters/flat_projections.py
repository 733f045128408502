"""Experts whose matrices lie one under the other in parameters of two dimensions, as DBRX has them.

Two or three parameters of one shape [experts * width, hidden], in the order in which they are used:
what gates (if there are three), what goes up, and what comes down, transposed. Whether they are
used in this way shows when their result is compared with the module's own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

COUNTS = ("num_experts", "moe_num_experts", "num_local_experts", "n_routed_experts")
"""What modules call the number of their experts."""
ACTIVATIONS = ("activation_fn", "act_fn", "activation")
"""What modules call what stands between their projections."""


@dataclass(frozen=True)
class FlatProjections:
    """The weights of such experts. parts: [experts, width, hidden] each, views."""

    parts: tuple[torch.Tensor, ...]
    activate: Callable[[torch.Tensor], torch.Tensor]

    @property
    def experts(self) -> int:
        return len(self.parts[0])

    @property
    def gated(self) -> bool:
        return len(self.parts) == 3

    def first(self, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Copies of the first experts' projections: up [count, n, hidden], down [count, hidden,
        width]."""
        *ups, down = (part[:count] for part in self.parts)
        return torch.cat(ups, dim=1), down.transpose(1, 2).contiguous()


def flat_projections(module: nn.Module) -> FlatProjections | None:
    """The projections of a module that holds them so; None for any other."""
    parameters = [parameter.detach() for parameter in module.parameters()]
    experts, activate = _attribute(module, COUNTS), _attribute(module, ACTIVATIONS)
    if not isinstance(experts, int) or not callable(activate) or len(parameters) not in (2, 3):
        return None
    shapes = {tuple(parameter.shape) for parameter in parameters}
    shape = shapes.pop()
    if shapes or len(shape) != 2 or experts < 2 or shape[0] % experts:
        return None
    parts = [parameter.view(experts, -1, shape[1]) for parameter in parameters]
    return FlatProjections(tuple(parts), activate)


def _attribute(module: nn.Module, names: tuple[str, ...]) -> object:
    """The first of some attributes of a module or of what it is made of; None without any."""
    for part in module.modules():
        for name in names:
            value = getattr(part, name, None)
            if value is not None:
                return value
    return None
