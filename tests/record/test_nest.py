"""Events → nested scopes."""

from __future__ import annotations

from record.made import operator, recording

from condsim.record.events import Died, Enter, Leave
from condsim.record.nest import RunLoop, guarded, tree


def test_operators_stand_behind_their_guards() -> None:
    stem, head, body, tail = (operator(name) for name in ("stem", "head", "body", "tail"))
    events = [stem, Enter("exit", 1), head, Enter("jump", 1), body, Leave("jump", 3, 2)]
    scope = tree(recording(*events, Leave("exit", 5, 3), tail), {})
    placed = {op.name: guards for op, guards in guarded(scope)}
    assert placed == {
        "stem": (),
        "head": (("exit", 1),),
        "body": (("exit", 1), ("jump", 1)),
        "tail": (),
    }


def test_consecutive_branches_are_one_loop() -> None:
    events = []
    for choice, rows in ((0, 0), (1, 4), (2, 1)):
        events += [Enter("mix", choice), operator("linear"), Leave("mix", 5, rows)]
    (loop,) = tree(recording(*events), {}).nodes
    assert isinstance(loop, RunLoop)
    assert [instance.rows for instance in loop.instances] == [0, 4, 1]
    assert [instance.turn for instance in loop.instances] == [0, 1, 2]
    assert [instance.last for instance in loop.instances] == [False, False, True]
    assert {instance.outer for instance in loop.instances} == {5}


def test_what_a_lone_body_replaced_dies_in_the_body() -> None:
    stem, body = operator("stem", writes=(1,)), operator("body")
    events = [stem, Enter("jump", 1), body, Leave("jump", 3, 2), Died(stem, 0)]
    scope = tree(recording(*events), {})
    loop = scope.nodes[1]
    assert isinstance(loop, RunLoop)
    assert scope.frees == []
    assert [position for position, _ in loop.instances[0].scope.frees] == [0]


def test_what_dies_after_several_bodies_dies_outside() -> None:
    stem = operator("stem", writes=(1,))
    events = [stem]
    for choice in (0, 1):
        events += [Enter("pick", choice), operator("body"), Leave("pick", 3, 2)]
    scope = tree(recording(*events, Died(stem, 0)), {})
    assert [position for position, _ in scope.frees] == [1]
