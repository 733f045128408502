"""What all zoo models share: the registry, the base class, checkpoints."""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import nn

from condsim.errors import CondsimError
from condsim.files import write_whole
from condsim.registry import Registry

CHECKPOINTS = Path(__file__).parent / "checkpoints"


class ZooModel(nn.Module, ABC):
    """A model that knows how it was configured and how it is trained.

    Subclasses set the class attributes, take their configuration as keyword arguments and pass it on to this constructor.
    """

    mechanism: ClassVar[str]
    data: ClassVar[str]
    """images or text"""
    seq: ClassVar[int] = 0
    """bytes a sequence that the example's inputs have (text only)"""
    steps: ClassVar[int]
    """training steps of the shipped checkpoint"""

    def __init__(self, **config: Any) -> None:
        super().__init__()
        self.config = config

    @classmethod
    @abstractmethod
    def fit(cls, steps: int, progress: Any) -> tuple[ZooModel, dict[str, Any]]:
        """Train from scratch; the caller has seeded torch. Returns the model and what the checkpoint should say about it."""


ZOO: Registry[type[ZooModel]] = Registry("zoo model")


def save_checkpoint(model: ZooModel, about: dict[str, Any], path: Path) -> None:
    """Weights in half precision (integers stay), the configuration that rebuilds the model, and `about`."""
    weights = {
        name: t.detach().half() if t.is_floating_point() else t.detach()
        for name, t in model.state_dict().items()
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    content = io.BytesIO()
    torch.save({"config": model.config, "about": about, "weights": weights}, content)
    write_whole(path, content.getvalue())


def read_checkpoint(name: str, folder: Path = CHECKPOINTS) -> dict[str, Any]:
    """The checkpoint of a zoo model: config, about, weights. Raises CondsimError where there is none."""
    path = folder / f"{name}.pt"
    if not path.exists():
        raise CondsimError(
            f"zoo model {name!r} has no checkpoint in {folder}; train it: python -m condsim.zoo train {name}"
        )
    checkpoint: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return checkpoint


def build(name: str, checkpoint: dict[str, Any]) -> ZooModel:
    """The model of a checkpoint: fp32, eval mode."""
    model = ZOO[name](**checkpoint["config"])
    model.load_state_dict(
        {key: t.float() if t.is_floating_point() else t for key, t in checkpoint["weights"].items()}
    )
    return model.eval()
