"""The forms in which a linear layer runs whose weights are there in part.

A form is made once for a mask, and then called. What it trains are tensors of its own, as large as
what it multiplies.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from condsim.live.masks import ORIGINAL
from condsim.registry import Registry


class Form(ABC):
    """A linear layer under one strategy.

    weight: [out, in], as it was before any mask. bias: [out] or None. mask: bool [out, in].
    trained: what stands for the weight, by the end of its name. read: what else it reads.
    """

    def __init__(self, layer: nn.Linear, mask: np.ndarray) -> None:
        self.weight = layer.get_parameter(ORIGINAL)
        self.bias = layer.bias
        self.mask = torch.from_numpy(mask)
        self.trained: dict[str, torch.Tensor] = {}
        self.read: dict[str, torch.Tensor] = {}

    @abstractmethod
    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """[..., in] → [..., out]."""


FORMS: Registry[Callable[[nn.Linear, np.ndarray, int], Form]] = Registry("form of a sparse weight")
"""Strategy or baseline → (layer, mask, columns of same-flops) → the form."""


@FORMS.register("same-params")
class Dense(Form):
    """All weights are there, and no mask."""

    def __init__(self, layer: nn.Linear, mask: np.ndarray, _kept: int) -> None:
        super().__init__(layer, mask)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return F.linear(x, self.weight, self.bias)


@FORMS.register("same-flops")
class FirstColumns(Form):
    """A dense weight of as many elements as masks leave on average: its first columns."""

    def __init__(self, layer: nn.Linear, mask: np.ndarray, kept: int) -> None:
        super().__init__(layer, mask)
        self.kept = kept
        self.trained = {"kept": self.weight.detach()[:, :kept].clone()}

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return F.linear(x[..., : self.kept], self.trained["kept"], self.bias)


@FORMS.register("rows")
class LiveRows(Form):
    """Rows and columns without any weight are cut away; the rest is a dense matrix.

    The inputs that some weight reads are gathered, the outputs that some weight makes are put in
    their places, and the others are zero before the bias.
    """

    def __init__(self, layer: nn.Linear, mask: np.ndarray, _kept: int) -> None:
        super().__init__(layer, mask)
        self.outputs = torch.from_numpy(np.flatnonzero(mask.any(1)))
        self.inputs = torch.from_numpy(np.flatnonzero(mask.any(0)))
        kept = (self.weight.detach() * self.mask)[self.outputs][:, self.inputs]
        self.trained = {"rows": kept.contiguous()}
        self.read = {"outputs": self.outputs, "inputs": self.inputs}

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        some = F.linear(x.index_select(-1, self.inputs), self.trained["rows"])
        every = some.new_zeros(*some.shape[:-1], len(self.mask))
        every = every.index_copy(-1, self.outputs, some)
        return every if self.bias is None else every + self.bias


@FORMS.register("csr")
class CompressedRows(Form):
    """Compressed sparse rows: `torch.mm` of them and the inputs, and what autograd makes of it."""

    def __init__(self, layer: nn.Linear, mask: np.ndarray, _kept: int) -> None:
        super().__init__(layer, mask)
        ones = self.mask.to_sparse_csr()
        self.begins, self.columns = ones.crow_indices(), ones.col_indices()
        self.trained = {"values": self.weight.detach()[self.mask]}
        self.read = {"crow": self.begins, "col": self.columns}

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        size = tuple(self.mask.shape)
        sparse = torch.sparse_csr_tensor(self.begins, self.columns, self.trained["values"], size)
        rows = x.reshape(-1, x.shape[-1])
        result = torch.mm(sparse, rows.t()).t().reshape(*x.shape[:-1], size[0])
        return result if self.bias is None else result + self.bias


