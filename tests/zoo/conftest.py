"""The zoo's models, loaded once, on one thread."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import pytest
import torch

from condsim.live.execution import Execution, executing
from condsim.zoo import Example, load

NAMES = (
    "branch-fashion",
    "exit-fashion",
    "merge-fashion",
    "moe-bytes",
    "prune-fashion",
    "skip-fashion",
    "sparse-bytes",
)
TOKENS = ("merge-fashion", "prune-fashion")
IMAGES = ("branch-fashion", "exit-fashion", "skip-fashion")
TEXT = ("moe-bytes", "sparse-bytes")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@functools.cache
def example(name: str) -> Example:
    """A model with its inputs."""
    return load(name)


def strategy(name: str, strategy: str) -> dict[str, str]:
    """A strategy for the mechanism of a model."""
    return {example(name).mechanism: strategy}


@torch.inference_mode()
def under(model: torch.nn.Module, inputs: torch.Tensor, strategies: dict[str, str]) -> torch.Tensor:
    """The output of a model that runs under some strategies."""
    with executing(Execution(strategies)):
        output: torch.Tensor = model(inputs).clone()
    return output
