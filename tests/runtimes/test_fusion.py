"""Joining operators changes neither products nor decisions, never moves more bytes, and leaves
every storage that something outside reads."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

import condsim
from condsim.lower import lower
from condsim.lowered import Call
from condsim.predict.peak_memory import peak_bytes
from condsim.program import Dim, Free, Op, Program, Scope, Tensor, elements
from condsim.program.logical import op_flops
from condsim.resources import resource
from condsim.runtimes.fusion import fuse
from condsim.steps.rebatch import rebatch, site_rules
from condsim.trace import Trace

TRACES = ("exit-fashion", "skip-fashion", "branch-fashion", "moe-bytes", "sparse-bytes")


def calls(trace: Trace, program: Program, step: int = 0) -> list[Call]:
    mechanism, cut = trace.mechanisms[0], rebatch(trace, 4)
    return lower(
        program, site_rules(trace), {mechanism: program.strategy}, cut.steps.step(step)
    ).sequence()


def moved(call: Call) -> int:
    return (
        0
        if call.op.view
        else sum(elements(t.shape(call.bindings)) for t in (*call.op.inputs, *call.op.outputs))
    )


@pytest.mark.parametrize("name", TRACES)
def test_laws(name: str) -> None:
    trace = condsim.load(resource("traces") / name)
    for key, program in trace.programs.items():
        if not key.endswith("-n"):
            continue
        plain, joined = calls(trace, program), calls(trace, fuse(program))
        assert len(plain) == len(joined), key
        assert sum(not c.op.view for c in joined) < sum(not c.op.view for c in plain), key
        assert sum(op_flops(c.op, c.bindings) for c in joined) == sum(
            op_flops(c.op, c.bindings) for c in plain
        ), key
        assert sum(map(moved, joined)) < sum(map(moved, plain)), key
        assert sum(c.op.sync for c in joined) == sum(c.op.sync for c in plain), key
        assert peak_bytes(joined) <= peak_bytes(plain), key
        weights = [
            Counter(t.weight for c in side for t in c.op.inputs if t.weight and not c.op.view)
            for side in (plain, joined)
        ]
        assert weights[0] == weights[1], key


def program(*ops: Op, frees: tuple[Free, ...] = ()) -> Program:
    return Program("compacted", "prefill-n", Scope(ops, frees))


def op(name: str, *reads: Tensor, writes: Tensor, new: bool = True, view: bool = False) -> Op:
    return Op(name, reads, (writes,), view=view, allocs=((Dim(6), "float"),) if new else ())


X = Tensor((Dim(2), Dim(3)), "float")
FLAT = Tensor((Dim(6),), "float")
W = Tensor((Dim(3), Dim(3)), "float", "w")


def dies(of: int, after: int) -> Free:
    return Free(after, (), of, 0)


def kernels(p: Program) -> list[str]:
    return [n.name for n in fuse(p).root.nodes if isinstance(n, Op) and not n.view]


def test_an_epilogue_joins_its_product() -> None:
    p = program(
        op("linear", X, W, writes=X),
        op("relu", X, writes=X),
        op("add", X, X, writes=X),
        frees=(dies(0, 1), dies(1, 2)),
    )
    assert kernels(p) == ["linear"]
    kernel = fuse(p).root.nodes[0]
    assert isinstance(kernel, Op)
    assert kernel.inputs == (X, W, X)  # the residual is still read


def test_a_result_that_others_read_is_kept() -> None:
    p = program(
        op("linear", X, W, writes=X),
        op("relu", X, writes=X),
        op("add", X, X, writes=X),
        frees=(dies(0, 2), dies(1, 2)),
    )
    assert kernels(p) == ["linear", "relu"]


def test_a_normalisation_joins_elementwise_operators_but_no_product() -> None:
    p = program(
        op("linear", X, W, writes=X),
        op("softmax", X, writes=X),
        op("mul", X, X, writes=X),
        frees=(dies(0, 1), dies(1, 2)),
    )
    assert kernels(p) == ["linear", "softmax"]


def test_in_place_operators_write_the_storage_that_is_there() -> None:
    p = program(
        op("linear", X, W, writes=X),
        op("relu_", X, writes=X, new=False),
        op("add", X, X, writes=X),
        frees=(dies(0, 2),),
    )
    assert kernels(p) == ["linear"]
    assert peak_bytes(lower(fuse(p), {}, {}, _nothing()).sequence()) == 24


def test_views_carry_a_result_on() -> None:
    p = program(
        op("relu", X, writes=X),
        op("flatten", X, writes=FLAT, new=False, view=True),
        op("exp", FLAT, writes=FLAT),
        frees=(dies(0, 2),),
    )
    assert kernels(p) == ["relu"]


def test_nothing_joins_over_what_decides() -> None:
    decide = Op("nonzero", (X,), (FLAT,), sync=True, allocs=((Dim(6), "float"),))
    assert kernels(
        program(op("relu", X, writes=X), decide, op("exp", X, writes=X), frees=(dies(0, 2),))
    ) == ["relu", "nonzero", "exp"]


def _nothing():  # type: ignore[no-untyped-def]
    from condsim.steps.extents import Steps

    one = np.ones(1, int)
    return Steps.rectangular(one, one, one, {})
