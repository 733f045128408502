"""How operators are called: dtypes, shapes and conditions of their tensors."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from condsim.calibrate.operator_calls import ELEMENTWISE, ROWWISE, WHOLE_ROWS
from condsim.timing.cases import Pool

IN_THE_DTYPE_OF_THE_POOL = (
    "add",
    "add_",
    "zeros",
    "full",
    "new_zeros",
    "batch_norm",
    "group_norm",
    "layer_norm",
    "scatter_",
    "softmax",
    "cat",
)


@pytest.mark.parametrize("name", IN_THE_DTYPE_OF_THE_POOL)
def test_an_operator_is_called_in_the_dtype_of_its_pool(name: str) -> None:
    build = {**ELEMENTWISE, **ROWWISE}[name]
    with torch.inference_mode():
        assert build(Pool(torch.bfloat16), 256, 16)().dtype == torch.bfloat16


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_conversion_ends_in_fp32(dtype: torch.dtype) -> None:
    assert ELEMENTWISE["to"](Pool(dtype), 256, 16)().dtype == torch.float32


@pytest.mark.parametrize("name", ["where", "masked_fill"])
def test_conditions_are_alike_for_whole_rows(name: str) -> None:
    call: Any = ELEMENTWISE[name](Pool(), 64 * 64, 64)
    tensors = [argument for argument in call.args if isinstance(argument, torch.Tensor)]
    (condition,) = [tensor for tensor in tensors if tensor.dtype == torch.bool]
    assert condition.shape == (64, 1)
    assert 0 < int(condition.sum()) < 64
    assert call().shape == (64, 64)


def test_operators_that_keep_whole_rows_are_rowwise() -> None:
    assert set(WHOLE_ROWS) <= set(ROWWISE)
