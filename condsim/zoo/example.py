"""An example: a trained model, inputs that it has not seen, and a way to judge its outputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from condsim.live.masks import MaskHistory
from condsim.live.training import Training

Quality = Callable[[torch.Tensor, int], np.ndarray]
"""(output, batch number) → float32 [batch]. The output of a translator: its new tokens, int64
[batch, tokens]."""


@dataclass(frozen=True)
class Example:
    """What `condsim.zoo.load` returns, and what a spec of one's own may return.

    name: the zoo's name, or that of the function. mechanism: of the routing; empty where the model
    says it itself. model: of the zoo, in evaluation mode and fp32. inputs: batches; the zoo's are
    images float [batch, 1, 28, 28], bytes int64 [batch, seq], or a dict of arguments. quality: in
    the unit that quality_name says, and higher_is_better says which way; None: it cannot be told.
    new_tokens: that are decoded after each sequence, of a model that decides while it decodes.
    masks: of a model whose weights come and go, what they were over its training.
    training: how it is trained; None where its output has a loss, or for a model in use only.
    """

    name: str
    mechanism: str
    model: nn.Module
    inputs: list[Any]
    quality: Quality | None = None
    quality_name: str | None = None
    higher_is_better: bool = True
    new_tokens: int = 0
    training: Training | None = None
    masks: MaskHistory | None = None
