"""Caches in another dtype: fewer bytes are kept and read, all else stays."""

from __future__ import annotations

import pytest

from condsim.errors import CondsimError
from condsim.hardware import hardware
from condsim.program import Dim, Op, Program, Scope, Tensor
from condsim.program.model import Product
from condsim.runtimes import RUNTIMES
from condsim.runtimes.caches import cached, check_caches
from condsim.runtimes.served import ATTENTION

H100 = hardware("nvidia-h100-sxm")
ROWS = (Dim.product(1, "batch"), Dim(4), Dim(1), Dim(8))
ALL = (Dim.product(1, "batch"), Dim(4), Dim.product(1, "total"), Dim(16))


def program() -> Program:
    """A cache that is written, attention that reads it, and the step's own result."""
    new, kept, query = (Tensor(dims, "float") for dims in (ROWS, ALL, ROWS))
    writes = Op("cat", (new,), (new,), allocs=((Product(ALL), "float"),))
    attends = Op(ATTENTION, (query, kept), (query,), (16,), allocs=((Product(ROWS), "float"),))
    return Program("dense", "decode-n", Scope((writes, attends)))


def test_caches_are_kept_and_read_in_their_dtype() -> None:
    writes, attends = cached(program(), "fp8").root.nodes
    assert isinstance(writes, Op)
    assert isinstance(attends, Op)
    assert writes.outputs[0].dtype == "fp8"
    assert writes.allocs[0][1] == "fp8"
    assert [tensor.dtype for tensor in attends.inputs] == ["float", "fp8"]
    assert attends.allocs[0][1] == "float"


@pytest.mark.parametrize(
    ("dtype", "runtime", "said"),
    [("int3", "served", "caches are kept in fp8"), ("fp8", "eager", "is for runtime 'served'")],
)
def test_what_cannot_be_is_refused(dtype: str, runtime: str, said: str) -> None:
    with pytest.raises(CondsimError, match=said):
        check_caches(dtype, RUNTIMES[runtime], H100)
    check_caches(None, RUNTIMES[runtime], H100)
