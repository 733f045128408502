"""Decoding with a model's own cache."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from condsim.errors import CondsimError
from condsim.live.decode import decode_token, record_decode, start_decode
from condsim.live.execution import Execution
from condsim.live.inputs import Batch
from condsim.live.model import LiveModel
from condsim.record.events import RecordedOp

WORDS = 5


class Counting(torch.nn.Module):
    """The next token is the number of tokens so far; the cache holds how many there were."""

    def forward(
        self, input_ids: torch.Tensor, past_key_values: int = 0, use_cache: bool = False
    ) -> Any:
        total = past_key_values + input_ids.shape[1]
        logits = torch.zeros(*input_ids.shape, WORDS)
        logits[..., total % WORDS] = 1.0
        return SimpleNamespace(logits=logits, past_key_values=total if use_cache else None)


class Forgetful(torch.nn.Module):
    """A model without a cache."""

    def forward(self, input_ids: torch.Tensor, use_cache: bool = False) -> Any:
        return SimpleNamespace(logits=torch.zeros(*input_ids.shape, WORDS))


def prefix(units: int, seq: int) -> Batch:
    """Some tokens."""
    return Batch((), {"input_ids": torch.zeros(units, seq, dtype=torch.int64)}, units, seq)


def test_tokens_follow_from_the_cache() -> None:
    live = LiveModel(Counting())
    token, cache = start_decode(live, prefix(2, 3), Execution())
    assert token.tolist() == [[3], [3]]
    assert decode_token(live, token, cache, Execution()).tolist() == [[4], [4]]


def test_only_the_token_after_the_prefix_is_recorded() -> None:
    live = LiveModel(Counting())
    recorder = record_decode(live, prefix(2, 3), Execution())
    shapes = {
        output.shape
        for event in recorder.events
        if isinstance(event, RecordedOp)
        for output in event.outputs
    }
    assert (2, 1, WORDS) in shapes
    assert (2, 3, WORDS) not in shapes


def test_a_model_without_a_cache_is_refused() -> None:
    with pytest.raises(CondsimError, match="Forgetful returns no key-value cache"):
        start_decode(LiveModel(Forgetful()), prefix(2, 3), Execution())
