"""An example: a trained model together with inputs it has not seen and a way to judge its outputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

Quality = Callable[[torch.Tensor, int], np.ndarray]


@dataclass(frozen=True)
class Example:
    """What `condsim.zoo.load` returns.

    name: the zoo's name. mechanism: the routing mechanism. model: in eval mode, fp32.
    inputs: batches; images float [batch, 1, 28, 28] or bytes int64 [batch, seq].
    quality: (output, batch number) → float32 [batch], in the unit that quality_name says; higher_is_better says which way.
    """

    name: str
    mechanism: str
    model: nn.Module
    inputs: list[torch.Tensor]
    quality: Quality
    quality_name: str
    higher_is_better: bool
