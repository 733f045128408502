"""Compressed sparse tensors in a recording."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from condsim.record.layouts import lying, of_layout, parts_of
from condsim.record.recorder import RecordedOp, Recorder

pytestmark = pytest.mark.filterwarnings("ignore:Sparse")


def matrix() -> torch.Tensor:
    return torch.tensor([[1.0, 0.0, 2.0], [0.0, 0.0, 3.0]]).to_sparse_csr()


def test_a_sparse_tensor_is_its_parts() -> None:
    begins, columns, values = parts_of(matrix())
    assert begins.tolist() == [0, 2, 3]
    assert columns.tolist() == [0, 2, 2]
    assert values.tolist() == [1.0, 2.0, 3.0]
    begins_of_columns, rows, _ = parts_of(matrix().t())
    assert (begins_of_columns.tolist(), rows.tolist()) == ([0, 2, 3], [0, 2, 2])
    dense = torch.zeros(2)
    assert parts_of(dense) == (dense,)


def test_names_say_the_layout() -> None:
    assert of_layout("mm", (matrix(), torch.zeros(3, 4))) == "csr_mm"
    assert of_layout("mm", ([matrix().t()], {})) == "csc_mm"
    assert of_layout("add", ((torch.zeros(2),), {"out": matrix()})) == "csr_add"
    assert of_layout("add", (torch.zeros(2), 3)) == "add"


def test_how_dense_operands_lie_is_noted() -> None:
    whole, turned = torch.zeros(3, 4), torch.zeros(4, 3).t()
    assert lying([*parts_of(matrix()), turned, whole]) == (0, 1)


def test_a_product_is_recorded_with_its_parts() -> None:
    sparse = matrix()
    with torch.inference_mode(), Recorder(nn.Module()) as recorder:
        torch.mm(sparse, torch.ones(4, 3).t())
    product = [op for op in recorder.events if isinstance(op, RecordedOp)][-1]
    assert product.name == "csr_mm"
    assert [tensor.shape for tensor in product.inputs] == [(3,), (3,), (3,), (3, 4)]
    assert [tensor.shape for tensor in product.outputs] == [(2, 4)]
    assert product.params == (0,)
    assert not product.view
