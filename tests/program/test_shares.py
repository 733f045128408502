"""Sizes that are a share of another one, by the name of their extent."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from condsim.program import Dim, Op, Program, Scope, Tensor
from condsim.program.shares import Share, shares_of, with_shares

NUMBERS = st.integers(1, 99)


@given(times=NUMBERS, plus=st.integers(0, 99), over=NUMBERS, least=st.booleans())
def test_a_name_says_the_share(times: int, plus: int, over: int, least: bool) -> None:
    share = Share(("batch", "seq"), times, plus, over, least)
    assert Share.of(share.name) == share


@given(times=NUMBERS, plus=st.integers(0, 99), over=NUMBERS, least=st.booleans())
def test_arrays_give_what_numbers_give(times: int, plus: int, over: int, least: bool) -> None:
    share = Share(("seq",), times, plus, over, least)
    lengths = np.arange(1, 30)
    alone = [share.value({"seq": int(length)}) for length in lengths]
    assert share.value({"seq": lengths}).tolist() == alone
    assert min(alone) >= int(least)


def test_other_names_are_no_shares() -> None:
    for name in ("batch", "total@8", "rows@gate", "floor(batch)", "floor((1*batch+0)/0)"):
        assert Share.of(name) is None


def test_steps_have_the_shares_of_what_they_have() -> None:
    share = Share(("seq",), 1, 0, 4)
    tensor = Tensor((Dim.product(1, "batch"), Dim.product(2, share.name)), "float")
    program = Program("dense", "prefill-n", Scope((Op("relu", (tensor,), (tensor,)),)))
    assert shares_of(program) == {share.name: share}
    extents = with_shares(program, {"batch": np.array([2, 3]), "seq": np.array([9, 16])})
    assert extents[share.name].tolist() == [2, 4]
    assert tensor.dims[1](extents).tolist() == [4, 8]
