"""Adapters: each finds the sites of one kind of model, lets them be watched and forced, and takes no class names for granted.

An adapter is a function: model → the sites it found. Marked sites need none; they speak for themselves while the model runs.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

import torch

from condsim.live.execution import Execution
from condsim.registry import Registry


class LiveSite(Protocol):
    """A site of a live model."""

    name: str
    top_k: int  # known once it has run

    def prepare(self, execution: Execution) -> None:
        """Build once, outside of what is recorded or timed, the stacked weights that the strategy in force needs."""

    def installed(self) -> AbstractContextManager[None]:
        """While it lasts, the site obeys the execution in force. Nothing stays behind."""

    def named_tensors(self) -> dict[str, torch.Tensor]:
        """Tensors that a baseline reads and the model does not have."""

    def offers(self) -> dict[str, tuple[str, ...]]:
        """Mechanism → the strategies that can run here, the model's own first. Known once it has run."""


ADAPTERS: Registry[Callable[[torch.nn.Module], list[LiveSite]]] = Registry("adapter")

for _name in ("fused_experts", "expert_list", "own_forward", "predicted_blocks"):
    importlib.import_module(f"{__name__}.{_name}")


def find_sites(model: torch.nn.Module) -> list[LiveSite]:
    """Sites of all adapters, in module order."""
    return [site for find in ADAPTERS.values() for site in find(model)]
