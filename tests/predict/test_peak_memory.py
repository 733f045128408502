"""The most that is alive at once."""

from __future__ import annotations

import pytest

from condsim.errors import CondsimError
from condsim.lowered import Call
from condsim.predict.peak_memory import peak_bytes
from condsim.program import Dim, Op


def call(elements: int, dtype: str, *dead: Call) -> Call:
    """A call that makes one storage. dead: calls whose storage is dead after it."""
    op = Op("add", (), (), allocs=((Dim(elements), dtype),))
    return Call(op, (0, 0), (), 0, 0, {}, [(maker, 0) for maker in dead])


def test_what_is_freed_makes_room() -> None:
    first = call(10, "float")
    second = call(20, "float", first)
    third = call(5, "int64", second)
    third.dead.append((third, 0))
    calls = [first, second, third]
    assert peak_bytes(calls) == 120
    assert peak_bytes(calls, float_bytes=2) == 80
    assert peak_bytes([]) == 0


def test_a_dtype_without_a_size_is_refused() -> None:
    with pytest.raises(CondsimError, match="dtype 'complex256' has no known size"):
        peak_bytes([call(1, "complex256")])
