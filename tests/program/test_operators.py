"""The table of operators: what is known of each, and what a name means."""

from __future__ import annotations

import numpy as np
import pytest

from condsim.errors import CondsimError
from condsim.program.operators import (
    FACTS,
    called,
    extent,
    facts,
    fuses_elementwise,
    is_epilogue,
    is_product,
    looks_up_rows,
    reduces,
    reduces_inward,
    strides_recorded,
    synchronises,
    takes_rows,
)


@pytest.mark.parametrize(
    ("name", "inputs", "outputs", "expected"),
    [
        ("index_select", [(1000, 64), (5,)], [(5, 64)], (320, 64)),
        ("index_add_", [(1000, 64), (5,), (5, 64)], [(1000, 64)], (320, 64)),
        ("sum", [(8, 2, 64)], [(8, 64)], (1024, 2)),
        ("softmax_", [(8, 64)], [(8, 64)], (512, 64)),
        ("add", [(8, 64), (64,)], [(8, 64)], (512, 64)),
        ("cat", [(8, 64), (8, 64)], [(16, 64)], (1024, 64)),
        ("where", [(40,)], [(3,), (3,)], (40, 40)),
        ("new_zeros", [], [(8, 64)], (512, 64)),
        ("frobnicate", [], [], (1, 1)),
    ],
)
def test_the_time_of_an_operator_follows_an_extent(
    name: str,
    inputs: list[tuple[int, ...]],
    outputs: list[tuple[int, ...]],
    expected: tuple[int, int],
) -> None:
    assert extent(name, inputs, outputs) == expected


def test_extents_of_arrays_are_arrays() -> None:
    rows = np.array([1, 8])
    count, length = extent("add", [(rows, 64), (64,)], [(rows, 64)])
    assert count.tolist() == [64, 512]
    assert length == 64


def test_a_name_with_an_underscore_is_the_operator_in_place() -> None:
    for ask in (strides_recorded, fuses_elementwise, is_epilogue):
        assert ask("add_")
        assert ask("add")
    assert reduces("sum_")
    assert strides_recorded("__and__")


def test_recorded_strides_and_fusion_are_two_questions() -> None:
    assert strides_recorded("ceil")
    assert not fuses_elementwise("ceil")
    assert fuses_elementwise("erf")
    assert not strides_recorded("erf")


def test_what_compilers_make_of_an_operator() -> None:
    assert reduces_inward("layer_norm")
    assert is_product("addmm")
    assert not is_product("_grouped_mm")
    assert looks_up_rows("index_select")
    assert not looks_up_rows("embedding")
    assert takes_rows("embedding")
    assert not takes_rows("index_add_")


def test_where_of_one_input_waits_for_the_number_of_rows() -> None:
    assert called("where", 1) == "nonzero"
    assert called("where", 3) == "where"
    assert synchronises("where", 1)
    assert not synchronises("where", 3)
    assert synchronises("item", 1)


def test_of_an_unknown_operator_nothing_is_known() -> None:
    assert facts("frobnicate").fuses == "alone"
    with pytest.raises(CondsimError, match="unknown operator"):
        FACTS["frobnicate"]


def test_no_operator_borrows_twice() -> None:
    """The operator whose times or code answer for another one has its own."""
    for known in FACTS.values():
        assert not facts(known.curve).curve
        assert not facts(known.code).code
