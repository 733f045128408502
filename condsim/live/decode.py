"""Decoding with the model's own cache: one greedy token a sequence after another."""

from __future__ import annotations

import inspect
from typing import Any

import torch

from condsim.errors import CondsimError
from condsim.live.execution import Execution
from condsim.live.inputs import Batch
from condsim.live.model import LiveModel
from condsim.record.recorder import Recorder

Cache = dict[str, Any]
"""Arguments of forward() that continue from the tokens before."""


def start_decode(
    live: LiveModel, prefix: Batch, execution: Execution
) -> tuple[torch.Tensor, Cache]:
    """Run `prefix`; return the next token, int64 [units, 1], and what continues after it.

    Raises CondsimError where the model keeps no cache.
    """
    output = live.run(prefix, execution, use_cache=True)
    argument = _cache_argument(live.model)
    cache = getattr(output, argument, None)
    if cache is None:
        cache = getattr(output, "past_key_values", None)
    if cache is None:
        model = type(live.model).__name__
        raise CondsimError(
            f"new_tokens: {model} returns no key-value cache; capture without new_tokens"
        )
    return greedy_token(output), {argument: cache, "use_cache": True}


def decode_token(
    live: LiveModel, token: torch.Tensor, cache: Cache, execution: Execution
) -> torch.Tensor:
    """Run one token a sequence; return the next one. token: int64 [units, 1]."""
    output = live.run(token_batch(token), execution, **cache)
    return greedy_token(output)


def record_decode(live: LiveModel, prefix: Batch, execution: Execution) -> Recorder:
    """Run `prefix` unrecorded, then record one more token a sequence with the model's cache."""
    token, cache = start_decode(live, prefix, Execution())
    return live.record(token_batch(token), execution, **cache)


def token_batch(token: torch.Tensor) -> Batch:
    """One token a sequence as a batch. token: int64 [units, 1]."""
    return Batch((), {"input_ids": token}, units=token.shape[0], seq=1)


def greedy_token(output: Any) -> torch.Tensor:
    """The token of the largest logit at the last position, int64 [units, 1]."""
    token: torch.Tensor = output.logits[:, -1:].argmax(-1)
    return token


def _cache_argument(model: torch.nn.Module) -> str:
    """The argument of forward() that takes the cache."""
    accepted = inspect.signature(model.forward).parameters
    return "cache" if "cache" in accepted else "past_key_values"
