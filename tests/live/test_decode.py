"""Decoding starts from a model's own cache, whatever its forward() calls it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from condsim.errors import CondsimError
from condsim.live.decode import start_decode
from condsim.live.execution import Execution
from condsim.live.inputs import Batch
from condsim.live.model import LiveModel

PREFIX = Batch((), {"input_ids": torch.tensor([[1, 2], [3, 0]])}, 2, 2)


class Echo(nn.Module):
    """The most likely next token is the last one; the cache counts the tokens."""

    def forward(self, input_ids: torch.Tensor, cache: Any = None, use_cache: bool = False) -> Any:
        logits = torch.nn.functional.one_hot(input_ids, 4).float()
        seen = input_ids.shape[1] if use_cache else None
        return SimpleNamespace(logits=logits, cache=seen)


class Forgetful(nn.Module):
    """Takes `use_cache` and returns no cache."""

    def forward(self, input_ids: torch.Tensor, use_cache: bool = False) -> Any:
        return SimpleNamespace(logits=torch.zeros(*input_ids.shape, 4))


def test_the_next_token_continues_from_the_cache() -> None:
    token, arguments = start_decode(LiveModel.of(Echo()), PREFIX, Execution())
    assert token.tolist() == [[2], [0]]
    assert arguments == {"cache": 2, "use_cache": True}


def test_a_model_without_a_cache_is_refused() -> None:
    with pytest.raises(CondsimError, match="new_tokens: Forgetful returns no key-value cache"):
        start_decode(LiveModel.of(Forgetful()), PREFIX, Execution())
