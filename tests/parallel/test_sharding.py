"""Sizes of a rank's part: what computes experts follows what was sent to the rank."""

from __future__ import annotations

from fractions import Fraction

import pytest

from condsim.errors import CondsimError
from condsim.parallel.sharding import DenseWidth, Stages, dense_of_rank, of_rank
from condsim.program import Dim, Op, Program, Scope, Tensor

SITE = "mlp.experts"
PREFILL, DECODE = ("batch", "seq"), ("batch",)


def linear(width: int, tokens: tuple[str, ...], times: int = 1, site: str = "") -> Op:
    rows = Dim.product(times, *tokens)
    inputs = (
        Tensor((rows, Dim(6)), "float"),
        Tensor((Dim(width), Dim(6)), "float", weight="w"),
    )
    outputs = (Tensor((rows, Dim(width)), "float"),)
    return Op("linear", inputs, outputs, site=site, module=SITE)


def program(*ops: Op) -> Program:
    return Program("s", "decode-n", Scope(ops))


@pytest.mark.parametrize("tokens", [PREFILL, DECODE])
def test_experts_follow_what_was_sent(tokens: tuple[str, ...]) -> None:
    whole = program(linear(4, tokens, site=SITE), linear(4, tokens, times=2, site=SITE))
    one, two = of_rank(whole, {SITE: 2}).root.nodes
    assert isinstance(one, Op)
    assert isinstance(two, Op)
    sizes = {f"received@{SITE}": 5, f"routes@{SITE}": 7, "batch": 100, "seq": 100}
    assert one.inputs[0].shape(sizes) == (5, 6)
    assert two.inputs[0].shape(sizes) == (7, 6)


@pytest.mark.parametrize("tokens", [PREFILL, DECODE])
def test_a_dense_layer_is_cut_in_width(tokens: tuple[str, ...]) -> None:
    """Eight experts of 3 columns each, and the same model of two: a rank has three of them."""
    width = DenseWidth((SITE,), wide=8, narrow=2, wanted=Fraction(3))
    dense, narrow = program(linear(24, tokens)), program(linear(6, tokens))
    (op,) = dense_of_rank(dense, narrow, width).root.nodes
    assert isinstance(op, Op)
    assert op.inputs[1].shape({}) == (9, 6)
    assert op.outputs[0].shape({f"gathered@{SITE}": 10}) == (10, 9)


def test_stages_end_where_ranks_wait() -> None:
    other = Op("add", (), (), module="norm")
    stages = Stages.of(program(other, linear(4, PREFILL, site=SITE), other), [SITE])
    assert stages.of_node == (0, 1, 2)
    assert [stages.name(stage) for stage in range(3)] == [
        f"before {SITE}",
        SITE,
        "after the last experts",
    ]


def test_a_site_that_the_program_has_not() -> None:
    with pytest.raises(CondsimError, match="another choice"):
        Stages.of(program(linear(4, PREFILL)), ["elsewhere"])
