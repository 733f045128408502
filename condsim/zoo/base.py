"""What all zoo models share: the registry, the base class, checkpoints."""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from torch import nn

from condsim.errors import CondsimError
from condsim.files import write_whole
from condsim.live.masks import MaskHistory
from condsim.registry import Registry

CHECKPOINTS = Path(__file__).parent / "checkpoints"


@dataclass(frozen=True)
class Knob:
    """What trades quality for speed in a trained model.

    name: an argument of its constructor. values: settings worth trying. least, most: of a value.
    whole: only whole numbers are settings.
    """

    name: str
    values: tuple[float, ...]
    least: float
    most: float
    whole: bool = False

    def check(self, model: str, settings: Mapping[str, float]) -> dict[str, float]:
        """Settings as the constructor takes them. model: its name, for errors.

        Raises CondsimError for any other name, and for a value that no model can have.
        """
        checked: dict[str, float] = {}
        for name, value in settings.items():
            if name != self.name:
                raise CondsimError(
                    f"zoo model {model!r} has no setting {name!r}; what can be set is {self.name}, "
                    "or noise on its inputs"
                )
            if not self.least <= value <= self.most or (self.whole and value != int(value)):
                kind = "a whole number" if self.whole else "a number"
                raise CondsimError(
                    f"{name} of {model!r} is {kind} from {self.least:g} to {self.most:g}, "
                    f"got {value:g}"
                )
            checked[name] = int(value) if self.whole else float(value)
        return checked


class ZooModel(nn.Module, ABC):
    """A model that knows how it was configured and how it is trained.

    Subclasses set the class attributes, take their configuration as keyword arguments and pass it
    on to this constructor.
    """

    mechanism: ClassVar[str]
    data: ClassVar[Literal["images", "text", "verses"]]
    knob: ClassVar[Knob]
    seq: ClassVar[int] = 0
    """Bytes a sequence that the example's inputs have (text only)."""
    new_tokens: ClassVar[int] = 0
    """Bytes that are decoded after each of the example's sequences (decoders only)."""
    trained_seq: ClassVar[int] = 0
    """Bytes a sequence in training (text only)."""
    batch: ClassVar[int]
    """Images or sequences a training step."""
    example_batch: ClassVar[int] = 32
    """Images or sequences a batch of the example's inputs."""
    steps: ClassVar[int]
    """Training steps of the shipped checkpoint."""

    def __init__(self, **config: Any) -> None:
        super().__init__()
        self.config = config

    @property
    def masks(self) -> MaskHistory | None:
        """What the masks of its weights were over its training; None for a model without."""
        return None

    @property
    def captured(self) -> nn.Module:
        """What is captured of it: itself, or a model of another library inside of it."""
        return self

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

    @classmethod
    def rivals(cls) -> dict[str, nn.Module]:
        """Smaller dense networks of the same parts, untrained, by their names.

        A name says what it is made of, in the characters of a file name.
        """
        return {}


ZOO: Registry[type[ZooModel]] = Registry("zoo model")
"""Models that decide about rows, each of which has forwards that are captured and measured."""
TRAININGS: Registry[type[ZooModel]] = Registry("zoo training")
"""Models whose weights come and go; what is captured of them is their training."""


DECODERS: Registry[type[ZooModel]] = Registry("zoo decoder")
"""Models that decide while they decode; a whole prompt runs as it is."""

TRANSLATORS: Registry[type[ZooModel]] = Registry("zoo translator")
"""Models of an encoder and a decoder, which turn a sequence into another one."""


KINDS = (ZOO, TRAININGS, DECODERS, TRANSLATORS)
"""All registries of models that the zoo has."""


def kind_of(name: str) -> type[ZooModel]:
    """The class of a zoo model of any kind. Raises CondsimError for an unknown name."""
    for kinds in KINDS[1:]:
        if name in kinds:
            return kinds[name]
    return ZOO[name]


def save_checkpoint(model: ZooModel, about: dict[str, Any], path: Path) -> None:
    """Write a model's weights, the configuration that rebuilds it, and `about`.

    Weights are in half precision, but integers stay. A weight that has several names is kept once.
    """
    weights: dict[str, torch.Tensor] = {}
    kept: dict[int, torch.Tensor] = {}
    for name, weight in model.state_dict(keep_vars=True).items():
        if id(weight) not in kept:
            plain = weight.detach()
            kept[id(weight)] = plain.half() if plain.is_floating_point() else plain
        weights[name] = kept[id(weight)]
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


def build(
    name: str, checkpoint: dict[str, Any], settings: Mapping[str, float] | None = None
) -> ZooModel:
    """The model of a checkpoint: fp32, in evaluation mode.

    settings: of its knob, instead of what it was saved with. Raises CondsimError for others.
    """
    kind = kind_of(name)
    chosen = kind.knob.check(name, settings) if settings else {}
    model = kind(**{**checkpoint["config"], **chosen})
    weights: dict[str, torch.Tensor] = {}
    for key, weight in checkpoint["weights"].items():
        weights[key] = weight.float() if weight.is_floating_point() else weight
    model.load_state_dict(weights)
    return model.eval()
