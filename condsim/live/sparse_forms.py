"""The forms in which a linear layer runs whose weights are there in part.

A form is made once for a mask, and then called. What it trains are tensors of its own, as large as
what it multiplies.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

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
    their places, and the others are zero before the bias. What is left has its mask.
    """

    def __init__(self, layer: nn.Linear, mask: np.ndarray, _kept: int) -> None:
        super().__init__(layer, mask)
        self.outputs = torch.from_numpy(np.flatnonzero(mask.any(1)))
        self.inputs = torch.from_numpy(np.flatnonzero(mask.any(0)))
        kept = (self.weight.detach() * self.mask)[self.outputs][:, self.inputs]
        self.trained = {"rows": kept.contiguous()}
        self.left = self.mask[self.outputs][:, self.inputs].to(kept.dtype)
        self.read = {"outputs": self.outputs, "inputs": self.inputs, "mask": self.left}

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        some = F.linear(x.index_select(-1, self.inputs), self.trained["rows"] * self.left)
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
        rows = x.reshape(-1, x.shape[-1])
        result = self.multiplied(rows).reshape(*x.shape[:-1], len(self.mask))
        return result if self.bias is None else result + self.bias

    def multiplied(self, rows: torch.Tensor) -> torch.Tensor:
        """[rows, in] → [rows, out]."""
        size = tuple(self.mask.shape)
        sparse = torch.sparse_csr_tensor(self.begins, self.columns, self.trained["values"], size)
        return torch.mm(sparse, rows.t()).t()


@FORMS.register("csr_sampled")
class SampledRows(CompressedRows):
    """Compressed sparse rows with a backward that computes no gradient of weights that are absent.

    The gradient of the inputs is a product with the rows of the transposed weight, whose places are
    found once; that of the weights is sampled where they are.
    """

    def __init__(self, layer: nn.Linear, mask: np.ndarray, kept: int) -> None:
        super().__init__(layer, mask, kept)
        places = torch.zeros(self.mask.shape, dtype=torch.int64)
        places[self.mask] = torch.arange(int(self.mask.sum()))
        turned = self.mask.t().contiguous().to_sparse_csr()
        self.turned_begins, self.turned_columns = turned.crow_indices(), turned.col_indices()
        self.order = places.t()[self.mask.t()]
        self.read |= {
            "turned_crow": self.turned_begins,
            "turned_col": self.turned_columns,
            "order": self.order,
        }

    def multiplied(self, rows: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = _Sampled.apply(  # type: ignore[no-untyped-call]
            rows, self.trained["values"], self
        )
        return result

    def of_values(self, values: torch.Tensor) -> torch.Tensor:
        """The weight, [out, in]."""
        size = tuple(self.mask.shape)
        return torch.sparse_csr_tensor(self.begins, self.columns, values, size)

    def turned(self, values: torch.Tensor) -> torch.Tensor:
        """The transposed weight, [in, out]."""
        size = tuple(reversed(self.mask.shape))
        in_order = values.index_select(0, self.order)
        return torch.sparse_csr_tensor(self.turned_begins, self.turned_columns, in_order, size)


class _Sampled(torch.autograd.Function):
    """Rows [batch, in] times a sparse weight [out, in], to [batch, out]."""

    @staticmethod
    def forward(ctx: Any, rows: torch.Tensor, values: torch.Tensor, form: Any) -> torch.Tensor:
        ctx.form = form
        ctx.save_for_backward(rows, values)
        return torch.mm(form.of_values(values), rows.t()).t()

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> Any:
        (gradient,) = gradients
        rows, values = ctx.saved_tensors
        of_rows = None
        if ctx.needs_input_grad[0]:
            of_rows = torch.mm(ctx.form.turned(values), gradient.t()).t()
        pattern = ctx.form.of_values(values)
        sampled = torch.sparse.sampled_addmm(pattern, gradient.t(), rows, beta=0.0)
        return of_rows, sampled.values(), None
