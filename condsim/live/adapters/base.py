"""What an adapter finds: a module of a live model with sites in it."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import nn

from condsim.live.adapters.structure import instead
from condsim.live.execution import Execution
from condsim.registry import Registry

OTHER_RESULT = "it gives another result than the module's own forward"
"""Why a strategy is left out that runs."""


def left_out(site: str, strategy: str, reason: str) -> str:
    """The note on a strategy that a site is not offered under."""
    return f"{site}: {strategy} is left out, {reason}"


def unstacked(site: str) -> str:
    """The note on experts that have no common form as weights."""
    return (
        f"baselines run the experts of {site} one after the other: "
        "its list of modules was not stacked into one matmul a projection"
    )


class LiveSite(ABC):
    """One module of a live model that decides something, most often at one site.

    name: the path of the module, and of its site. block: the module.
    top_k: branches that a row takes, known once the module has run.
    router: the module in which the decision is made; None where it was looked for and not found.
    guards: the module decides something, whether or not the decision can be read.
    decides_in_python: whether an `if` asks for a tensor's value.
    reason: why the module runs as it is written, where it decides something that cannot be read.
    decides_for_batch: whether it asks one question of a whole batch, once the module has run.
    hint: what a user can do where the module runs but no program fits what it executes.
    """

    top_k = 1
    guards = False
    decides_in_python = False
    decides_for_batch = False
    reason: str | None = None
    hint = ""

    def __init__(self, name: str, block: nn.Module) -> None:
        self.name = name
        self.block = block
        self.router: nn.Module | None = block

    @property
    def sites(self) -> tuple[str, ...]:
        """Names of the sites in the module."""
        return (self.name,)

    @property
    def notes(self) -> list[str]:
        """What a reader of the trace should know of the sites."""
        return []

    @abstractmethod
    def offers(self) -> dict[str, tuple[str, ...]]:
        """Mechanism → the strategies that can run here, the model's own first.

        Known once the module has run.
        """

    @abstractmethod
    def forward(self, own_forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """The module's result under the execution in force. own_forward: as it was written."""

    def prepare(self, execution: Execution) -> None:  # noqa: B027 (most sites build nothing)
        """Build what the strategy in force needs: once, before anything is recorded or timed."""

    def named_tensors(self) -> dict[str, torch.Tensor]:
        """Tensors by name that a strategy reads and the model does not have."""
        return {}

    def read_tensors(self) -> dict[str, torch.Tensor]:
        """Tensors by name that a strategy reads and nobody trains, as where its rows lie."""
        return {}

    def made_tensors(self) -> dict[str, torch.Tensor]:
        """Tensors by name that a strategy made of weights, also such as share their memory."""
        return self.named_tensors()

    @contextlib.contextmanager
    def installed(self) -> Iterator[None]:
        """While it lasts, the module obeys the execution in force. Nothing stays behind."""
        with instead(self.block, self.forward):
            yield


ADAPTERS: Registry[Callable[[nn.Module], list[LiveSite]]] = Registry("adapter")
"""Name → (model → the modules with sites that the adapter finds)."""
