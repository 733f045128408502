"""Greedy decoding with a model's own key-value cache."""

from __future__ import annotations

import inspect
from typing import Any

import torch

from condsim.errors import CondsimError
from condsim.live.execution import Execution
from condsim.live.inputs import Batch
from condsim.live.model import LiveModel


def start_decode(
    live: LiveModel, prefix: Batch, execution: Execution
) -> tuple[torch.Tensor, dict[str, Any]]:
    """Run a prefix, and say how decoding goes on after it.

    Returns (the greedy next token, int64 [units, 1]; the arguments that continue from the model's
    cache). Raises CondsimError where the model keeps no cache.
    """
    output = live.run(prefix, execution, use_cache=True)
    parameters = inspect.signature(live.model.forward).parameters
    name = "cache" if "cache" in parameters else "past_key_values"
    cache = getattr(output, name, None)
    if cache is None:
        cache = getattr(output, "past_key_values", None)
    if cache is None:
        raise CondsimError(
            f"new_tokens: {type(live.model).__name__} returns no key-value cache; "
            "capture without new_tokens"
        )
    token = output.logits[:, -1:].argmax(-1)
    return token, {name: cache, "use_cache": True}
