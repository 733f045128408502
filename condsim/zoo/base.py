"""What all zoo models share: the registry, the base class, checkpoints."""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from torch import nn

from condsim.errors import CondsimError
from condsim.files import write_whole
from condsim.live.masks import MaskHistory
from condsim.registry import Registry

CHECKPOINTS = Path(__file__).parent / "checkpoints"


class ZooModel(nn.Module, ABC):
    """A model that knows how it was configured and how it is trained.

    Subclasses set the class attributes, take their configuration as keyword arguments and pass it
    on to this constructor.
    """

    mechanism: ClassVar[str]
    data: ClassVar[Literal["images", "text"]]
    seq: ClassVar[int] = 0
    """Bytes a sequence that the example's inputs have (text only)."""
    batch: ClassVar[int] = 32
    """Images or sequences a batch that the example's inputs have."""
    steps: ClassVar[int]
    """Training steps of the shipped checkpoint."""

    def __init__(self, **config: Any) -> None:
        super().__init__()
        self.config = config

    @property
    def masks(self) -> MaskHistory | None:
        """What the masks of its weights were over its training; None for a model without."""
        return None

    @staticmethod
    def optimizer(weights: Any) -> torch.optim.Optimizer:
        """What it is trained by."""
        return torch.optim.AdamW(weights)

    @classmethod
    @abstractmethod
    def fit(cls, steps: int, progress: Any) -> tuple[ZooModel, dict[str, Any]]:
        """Train from scratch; the caller has seeded torch.

        progress: a `rich.progress.Progress`. Returns the model and what the checkpoint should say
        about it.
        """


ZOO: Registry[type[ZooModel]] = Registry("zoo model")
"""Models that decide about rows, each of which has forwards that are captured and measured."""
TRAININGS: Registry[type[ZooModel]] = Registry("zoo training")
"""Models whose weights come and go; what is captured of them is their training."""


def kind_of(name: str) -> type[ZooModel]:
    """The class of a zoo model of either kind. Raises CondsimError for an unknown name."""
    return TRAININGS[name] if name in TRAININGS else ZOO[name]


def save_checkpoint(model: ZooModel, about: dict[str, Any], path: Path) -> None:
    """Write a model's weights, the configuration that rebuilds it, and `about`.

    Weights are in half precision, but integers stay.
    """
    weights: dict[str, torch.Tensor] = {}
    for name, weight in model.state_dict().items():
        weight = weight.detach()
        weights[name] = weight.half() if weight.is_floating_point() else weight
    path.parent.mkdir(parents=True, exist_ok=True)
    content = io.BytesIO()
    torch.save({"config": model.config, "about": about, "weights": weights}, content)
    write_whole(path, content.getvalue())


def read_checkpoint(name: str, folder: Path = CHECKPOINTS) -> dict[str, Any]:
    """The checkpoint of a zoo model: config, about, weights.

    Raises CondsimError where there is none.
    """
    path = folder / f"{name}.pt"
    if not path.exists():
        raise CondsimError(
            f"zoo model {name!r} has no checkpoint in {folder}; "
            f"train it: python -m condsim.zoo train {name}"
        )
    checkpoint: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return checkpoint


def build(name: str, checkpoint: dict[str, Any]) -> ZooModel:
    """The model of a checkpoint: fp32, in evaluation mode."""
    model = kind_of(name)(**checkpoint["config"])
    weights: dict[str, torch.Tensor] = {}
    for key, weight in checkpoint["weights"].items():
        weights[key] = weight.float() if weight.is_floating_point() else weight
    model.load_state_dict(weights)
    return model.eval()
