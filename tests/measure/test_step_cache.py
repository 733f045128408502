"""A step's cache is the same before each call, and its tensors are copied only where they must
be."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

from condsim.measure.step_cache import StepCache, _address


class Grows:
    """Keys that each call makes anew, longer by one."""

    def __init__(self) -> None:
        self.keys, self.tokens = torch.arange(3.0), 3

    def call(self) -> torch.Tensor:
        self.keys = torch.cat([self.keys, torch.ones(1)])
        self.tokens += 1
        return self.keys.sum()


class Fills(Grows):
    """Keys that have room for more, and are written in place."""

    def __init__(self) -> None:
        self.keys, self.tokens = torch.full((8,), float("nan")), 3
        self.keys[:3] = torch.arange(3.0)

    def call(self) -> torch.Tensor:
        self.keys[self.tokens] = 1.0
        self.tokens += 1
        return self.keys[: self.tokens].sum()


class Decays(Grows):
    """A running state that each call updates in place."""

    def call(self) -> torch.Tensor:
        self.keys.mul_(0.5).add_(1.0)
        self.tokens += 1
        return self.keys.sum()


def called(cache: Grows) -> torch.Tensor:
    return cache.call()


def tensors_are_shared(of: StepCache) -> bool:
    return of.for_a_call()["cache"].keys is of.arguments["cache"].keys


@pytest.mark.parametrize(("kind", "shares"), [(Grows, True), (Fills, False), (Decays, False)])
def test_tensors_are_shared_that_no_call_writes(kind: Any, shares: bool) -> None:
    of = StepCache({"cache": kind()})
    of.share("conditional", called)
    assert tensors_are_shared(of) is shares


@pytest.mark.parametrize("kind", [Grows, Fills, Decays])
def test_every_call_answers_the_same(kind: Any) -> None:
    of = StepCache({"cache": kind()})
    expected = called(kind())
    of.share("conditional", called)
    for _ in range(3):
        assert torch.equal(called(**of.for_a_call()), expected)
        assert of.arguments["cache"].tokens == 3


def test_a_cache_that_was_not_tried_is_copied_whole() -> None:
    assert not tensors_are_shared(StepCache({"cache": Grows()}))


def test_one_side_that_changes_tensors_is_enough() -> None:
    of = StepCache({"cache": Grows()})
    of.share("conditional", called)
    of.share("baseline", lambda cache: cache.keys.add_(1.0))
    assert not tensors_are_shared(of)
    of.share("another", called)
    assert not tensors_are_shared(of)
    assert torch.equal(of.arguments["cache"].keys, torch.arange(3.0))


def test_views_of_memory_that_is_written_are_copied_together() -> None:
    memory = torch.zeros(4)
    of = StepCache({"written": memory[:2], "read": memory[2:], "other": torch.zeros(2)})
    of.share("conditional", lambda written, read, other: written.add_(1.0))
    arguments = of.for_a_call()
    assert arguments["read"] is not of.arguments["read"]
    assert _address(arguments["read"]) == _address(arguments["written"])
    assert arguments["other"] is of.arguments["other"]


def test_copies_of_tensors_are_copies_again_afterwards() -> None:
    of = StepCache({"cache": Grows()})
    of.share("conditional", called)
    tensor = torch.ones(2)
    assert copy.deepcopy(tensor) is not tensor
