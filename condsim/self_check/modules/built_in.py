"""What a built-in module is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import nn

from condsim.registry import Registry

SEED = 0
BATCHES = 2

M = TypeVar("M", bound=Callable[[], nn.Module])


@dataclass(frozen=True)
class BuiltIn:
    """A module with conditional computation, and batches of its inputs."""

    model: nn.Module
    inputs: list[torch.Tensor]


MODULES: Registry[Callable[[], BuiltIn]] = Registry("built-in module")


def built_in(name: str, *shape: int) -> Callable[[M], M]:
    """Decorator of a module's class, which takes no arguments: register it under a name.

    shape: of a batch of its inputs. Weights and inputs are the same every time.
    """

    def enter(make_model: M) -> M:
        def make() -> BuiltIn:
            with torch.random.fork_rng():
                torch.manual_seed(SEED)
                inputs = [torch.randn(shape) for _ in range(BATCHES)]
                return BuiltIn(make_model(), inputs)

        MODULES.register(name)(make)
        return make_model

    return enter
