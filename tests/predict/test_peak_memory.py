"""The most that is alive at once."""

from __future__ import annotations

import pytest

from condsim.errors import CondsimError
from condsim.lowered import Call
from condsim.predict.peak_memory import peak_bytes
from condsim.program import Op

OP = Op("add", (), ())


def call(born: list[tuple[int, str]], freed: list[tuple[int, str]]) -> Call:
    return Call(OP, (0, 0), (), 0, 0, {}, born, freed)


def test_what_is_freed_makes_room() -> None:
    calls = [
        call([(10, "float")], []),
        call([(20, "float")], [(10, "float")]),
        call([(5, "int64")], [(20, "float"), (5, "int64")]),
    ]
    assert peak_bytes(calls) == 120
    assert peak_bytes(calls, float_bytes=2) == 80
    assert peak_bytes([]) == 0


def test_a_dtype_without_a_size_is_refused() -> None:
    with pytest.raises(CondsimError, match="dtype 'complex256' has no known size"):
        peak_bytes([call([(1, "complex256")], [])])
