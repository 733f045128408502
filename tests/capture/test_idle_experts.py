"""Experts that compute nothing have the bodies of one of them, whatever was seen of each."""

from __future__ import annotations

from condsim.capture.idle_experts import of_all_idle
from condsim.program import Dim, Loop, Op, Scope

IDLE = (3, 4, 5)
COPY = Scope((Op("index", (), (), allocs=((Dim(8), "float"),)),))
PRODUCT = Scope((Op("linear", (), ()),))


def test_no_idle_expert_runs_what_computing_ones_run() -> None:
    of_first = {(3, 2, 2): COPY}
    computing = {(-1, 2, 1): PRODUCT, (-1, 2, 2): PRODUCT}
    bodies = {**computing, **of_all_idle(of_first, IDLE, computing)}
    loop = Loop("site", tuple(range(6)), bodies)
    for rows in (1, 2, 7):
        for expert in range(6):
            served = loop.body(expert, 9, rows)
            assert served is not None
            names = [node.name for node in served[1].nodes if isinstance(node, Op)]
            assert names == (["index"] if expert in IDLE else ["linear"])


def test_what_stands_for_others_creates_no_storage() -> None:
    found = of_all_idle({(3, 2, 2): COPY}, IDLE, {})
    assert found[3, 2, 2] is COPY
    (op,) = found[4, 2, 2].nodes
    assert isinstance(op, Op)
    assert op.allocs == ((Dim(0), "float"),)
