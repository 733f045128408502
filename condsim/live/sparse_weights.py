"""Linear layers with masks as sites of a live model: each runs in the form of the strategy."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.utils import prune

from condsim.live.adapters.base import LiveSite
from condsim.live.execution import Execution, SiteInfo
from condsim.live.masks import masked_layers, masks_now
from condsim.live.sparse_forms import FORMS, Form
from condsim.mechanisms.dynamic_sparse_training import DynamicSparseTraining

MECHANISM = DynamicSparseTraining.name
MASKED = "masked"
"""The strategy that the layer itself runs: its weight times its mask."""


class SparseWeight(LiveSite):
    """One linear layer with a mask.

    mask: which weights are there, bool [out, in]; the layer's own at first. kept: columns of the
    dense weight of same-flops.
    """

    def __init__(self, name: str, layer: nn.Linear, mask: np.ndarray) -> None:
        super().__init__(name, layer)
        self.layer = layer
        self.mask = mask
        self.kept = 1
        self.form: Form | None = None
        self._made_for: tuple[str, int] | None = None
        self._made_of: np.ndarray | None = None

    @property
    def info(self) -> SiteInfo:
        """What is known of the site."""
        return SiteInfo(self.name, MECHANISM, self.layer.in_features)

    def offers(self) -> dict[str, tuple[str, ...]]:
        return {MECHANISM: DynamicSparseTraining.marked}

    def prepare(self, execution: Execution) -> None:
        """Make the form of the strategy in force; it stays while mask and strategy are the same."""
        strategy = execution.strategy(self.name, MECHANISM)
        asked = (strategy, self.kept)
        if asked == self._made_for and self.mask is self._made_of:
            return
        self._made_for, self._made_of = asked, self.mask
        self.form = None
        if strategy != MASKED:
            self.form = FORMS[strategy](self.layer, self.mask, self.kept)

    def forward(self, own_forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if self.form is None:
            return own_forward(*args, **kwargs)
        return self.form(*args, **kwargs)

    @contextlib.contextmanager
    def installed(self) -> Iterator[None]:
        """While it lasts, the layer runs in its form; only as its own does it apply its mask."""
        hooks = self.layer._forward_pre_hooks
        masking = {} if self.form is None else _masking(hooks)
        for number in masking:
            del hooks[number]
        try:
            with super().installed():
                yield
        finally:
            hooks |= masking

    def named_tensors(self) -> dict[str, torch.Tensor]:
        return self.made_tensors() | self.read_tensors()

    def made_tensors(self) -> dict[str, torch.Tensor]:
        trained = {} if self.form is None else self.form.trained
        return self._named(trained)

    def read_tensors(self) -> dict[str, torch.Tensor]:
        read = {} if self.form is None else self.form.read
        return self._named(read)

    def _named(self, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {f"{self.name}.weight.{end}": tensor for end, tensor in tensors.items()}


def _masking(hooks: Mapping[int, Any]) -> dict[int, Any]:
    """Those of a layer's hooks that multiply its weight by its mask."""
    return {
        number: hook for number, hook in hooks.items() if isinstance(hook, prune.BasePruningMethod)
    }


def sparse_weights(model: nn.Module) -> list[SparseWeight]:
    """The layers of a model that have masks. Raises CondsimError as `masked_layers` does."""
    masks = masks_now(model)
    return [SparseWeight(name, layer, masks[name]) for name, layer in masked_layers(model).items()]
