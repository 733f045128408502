"""A recorded step of two micro-batches as one of any number."""

from __future__ import annotations

import pytest

from condsim.errors import CondsimError
from condsim.program import Dim, Free, Loop, Op, Program, Scope
from condsim.program.accumulation import accumulated, check_accumulate

ALLOC = ((Dim(8), "float"),)


def op(name: str) -> Op:
    return Op(name, (), (), allocs=ALLOC)


def recorded() -> Program:
    """Forward, backward behind a guard, both again with a sum, optimizer.

    The second forward lets go of what the first one kept (as a module's attribute), each backward
    of what its forward saved, and the optimizer of the gradient.
    """
    path = ((1, -1, 2, 2),)
    first = Loop("gate", (0,), {(-1, 2, 2): Scope((op("gradient"),), (Free(0, (), 0, 0),))})
    saved_again = Free(0, (), 2, 0)
    second = Loop("gate", (0,), {(-1, 2, 2): Scope((op("sum"),), (saved_again,))})
    nodes = (op("forward"), first, op("forward"), second, op("update"))
    frees = (Free(2, (), 0, 0), Free(4, path, 0, 0))
    return Program("compacted", "train-n", Scope(nodes, frees), stages=(1, 2, 3, 4))


def test_two_are_as_recorded() -> None:
    assert accumulated(recorded(), 2) == recorded()


def test_the_second_runs_as_often_as_asked_for() -> None:
    step = accumulated(recorded(), 4)
    names = [node.name if isinstance(node, Op) else node.site for node in step.root.nodes]
    assert names == ["forward", "gate"] * 4 + ["update"]
    assert step.stages == (1, 2, 3, 4, 5, 6, 7, 8)


def test_each_lets_go_of_what_the_one_before_it_made() -> None:
    step = accumulated(recorded(), 4)
    deaths = [
        (free.position, free.path[0][0] if free.path else free.op) for free in step.root.frees
    ]
    assert deaths == [(2, 0), (4, 2), (6, 4), (8, 1)]
    saved = []
    for node in step.root.nodes[1::2]:
        assert isinstance(node, Loop)
        (body,) = node.bodies.values()
        saved.append(body.frees[0].op)
    assert saved == [0, 2, 4, 6]


def test_one_keeps_the_first_alone() -> None:
    step = accumulated(recorded(), 1)
    assert len(step.root.nodes) == 3
    assert step.stages == (1, 2)
    assert [(free.position, free.path[0][0]) for free in step.root.frees] == [(2, 1)]


def test_what_was_recorded_with_one_runs_no_more() -> None:
    one = accumulated(recorded(), 1)
    assert accumulated(one, 1) is one
    with pytest.raises(CondsimError, match=r"captured without accumulation.*Training\(accumulate"):
        accumulated(one, 2)


@pytest.mark.parametrize("value", [0, -1, 129, 1.5, True, "2"])
def test_a_number_of_micro_batches_is_whole(value: object) -> None:
    with pytest.raises(CondsimError, match="accumulate must be a whole number from 1 to 128"):
        check_accumulate(value)
