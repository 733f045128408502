"""What all training methods share: the registry and the base class."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import ClassVar

import torch
from torch import nn

from condsim.registry import Registry


class TrainingMethod(ABC):
    """A way to train the gates of one zoo model, from scratch.

    model: its name. about: what the method does, in a line. source: where it is from.
    steps: that all methods of the model take.
    """

    model: ClassVar[str]
    about: ClassVar[str]
    source: ClassVar[str]
    steps: ClassVar[int]

    @abstractmethod
    def parameters(self) -> Iterable[nn.Parameter]:
        """What is trained."""

    @abstractmethod
    def loss(self, step: int, steps: int) -> torch.Tensor:
        """The loss of one of so many steps, in the order of the steps."""

    @abstractmethod
    def in_use(self) -> nn.Module:
        """The model as it would be used now. What is trained is not changed by it."""


METHODS: Registry[type[TrainingMethod]] = Registry("training method")
"""Name → the class of a method."""
