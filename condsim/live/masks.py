"""Masks of sparse weights: where a model has them, and what they were over a training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import nn

from condsim.errors import CondsimError, shown

ORIGINAL, MASK = "weight_orig", "weight_mask"
"""What torch.nn.utils.prune calls the weight of a module before its mask, and the mask."""

Masks = Mapping[str, np.ndarray]
"""Path of a module → which of its weights are there, bool [out, in]."""


def masked_layers(model: nn.Module) -> dict[str, nn.Linear]:
    """The linear layers of a model whose weight has a mask, by their paths.

    Raises CondsimError for another kind of layer that has one.
    """
    found = {}
    for name, module in model.named_modules():
        own = dict(module.named_parameters(recurse=False))
        buffers = dict(module.named_buffers(recurse=False))
        if ORIGINAL not in own or MASK not in buffers:
            continue
        if not isinstance(module, nn.Linear) or not name:
            raise CondsimError(
                f"module {name!r} has a mask on its weight and is a {type(module).__name__}: "
                "sparse weights are known of nn.Linear inside a model"
            )
        found[name] = module
    return found


def masks_now(model: nn.Module) -> dict[str, np.ndarray]:
    """The masks that a model has now. Raises CondsimError as `masked_layers` does."""
    masks = {}
    for name, layer in masked_layers(model).items():
        mask = layer.get_buffer(MASK)
        masks[name] = mask.detach().cpu().numpy() != 0
    return masks


@dataclass
class MaskHistory:
    """The masks of a model over a training: one entry each time that they were looked at.

    Call `add` in the training loop, after each update of the masks. iterations: of the training at
    which each entry was added.
    """

    iterations: list[int] = field(default_factory=list)
    _packed: list[dict[str, np.ndarray]] = field(default_factory=list)
    _shapes: dict[str, tuple[int, int]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.iterations)

    def add(self, model: nn.Module, iteration: int) -> None:
        """Note the masks that a model has now.

        Raises CondsimError for a model without masks, for other layers than before, and for an
        iteration that is not after the one before.
        """
        if self.iterations and iteration <= self.iterations[-1]:
            raise CondsimError(
                f"masks: iteration must be above {self.iterations[-1]}, the one before, got "
                f"{shown(iteration)}"
            )
        self.put(masks_now(model), iteration)

    def put(self, masks: Masks, iteration: int) -> None:
        """Note masks. Raises CondsimError where there are none, and for other shapes than before.

        masks: path of each layer → bool [out, in].
        """
        shapes = {}
        for name, mask in masks.items():
            rows, columns = mask.shape
            shapes[name] = (rows, columns)
        if not shapes:
            raise CondsimError(
                f"masks: no layer has {ORIGINAL} and {MASK}; torch.nn.utils.prune gives them"
            )
        if self._shapes and shapes != self._shapes:
            raise CondsimError("masks: other layers, or of other sizes, than in the entry before")
        self._shapes = shapes
        packed = {name: np.packbits(mask, axis=1) for name, mask in masks.items()}
        self._packed.append(packed)
        self.iterations.append(int(iteration))

    def masks(self, entry: int) -> dict[str, np.ndarray]:
        """The masks of an entry, bool [out, in] each."""
        masks = {}
        for name, bits in self._packed[entry].items():
            _, columns = self._shapes[name]
            masks[name] = np.unpackbits(bits, axis=1, count=columns).astype(bool)
        return masks

    @classmethod
    def unpacked(
        cls, iterations: list[int], packed: Mapping[str, np.ndarray], columns: Mapping[str, int]
    ) -> MaskHistory:
        """The history of packed masks, uint8 [entries, out, ceil(in / 8)] each.

        columns: of each mask.
        """
        history = cls()
        for entry, iteration in enumerate(iterations):
            masks = {}
            for name, bits in packed.items():
                masks[name] = np.unpackbits(bits[entry], axis=1, count=columns[name]).astype(bool)
            history.put(masks, iteration)
        return history

    def packed(self, name: str) -> np.ndarray:
        """The masks of a layer, a bit a weight, uint8 [entries, out, ceil(in / 8)]."""
        return np.stack([entry[name] for entry in self._packed])

    def some(self, entries: Sequence[int]) -> MaskHistory:
        """The history of these entries alone."""
        iterations = [self.iterations[entry] for entry in entries]
        packed = [self._packed[entry] for entry in entries]
        return MaskHistory(iterations, packed, self._shapes)

    def check(self, model: nn.Module) -> None:
        """Raises CondsimError unless all masks are of a model's layers, and some are there."""
        if not len(self):
            raise CondsimError(
                "masks: the history has no entry; call history.add(model, iteration)"
            )
        layers = masked_layers(model)
        shapes = {name: tuple(layer.weight.shape) for name, layer in layers.items()}
        if shapes != self._shapes:
            raise CondsimError(
                f"masks: they are of {_listed(self._shapes)}, and the model has masks on "
                f"{_listed(shapes)}"
            )


def _listed(shapes: Mapping[str, tuple[int, ...]]) -> str:
    parts = [f"{name} {list(shape)}" for name, shape in shapes.items()]
    return ", ".join(parts) or "no layer"


def mask_tensor(mask: np.ndarray, like: torch.Tensor) -> torch.Tensor:
    """A mask as zeros and ones in the type of a weight."""
    return torch.from_numpy(mask).to(like.dtype)
