"""The order of a step: scopes as they are entered, storages as they are born and die."""

from __future__ import annotations

from condsim.program import Dim, Free, Loop, Op, Program, Scope
from condsim.program.order import Storage, order_of

ROOT = ()
BODY = ((1, 0, 2, 2),)


def op(name: str) -> Op:
    return Op(name, (), (), allocs=((Dim(8), "float"),))


def program() -> Program:
    """One operator, a loop whose body has two, and one operator more."""
    of_body = (Free(0, ROOT, 0, 0), Free(1, BODY, 0, 0))
    body = Scope((op("gather"), op("linear")), of_body)
    loop = Loop("experts", (0,), {(0, 2, 2): body})
    after = (Free(2, BODY, 1, 0), Free(2, BODY, 1, 0))
    return Program("looped", "prefill-n", Scope((op("norm"), loop, op("add")), after))


def test_a_body_runs_as_often_as_it_is_entered() -> None:
    order = order_of(program(), (0, 1, 1))
    assert [o.name for o in order.ops] == ["norm", "gather", "linear", "gather", "linear", "add"]
    assert order.entry == [0, 1, 1, 2, 2, 0]
    assert order.places[:3] == [(0, 0), (1, 0), (1, 1)]


def test_storages_die_the_oldest_first_and_once() -> None:
    order = order_of(program(), (0, 1, 1))
    norm, first, second = Storage(0, 0), Storage(2, 0), Storage(4, 0)
    assert (1, norm) in order.deaths  # in the first entry; the second one finds it dead
    assert [storage for _, storage in order.deaths].count(norm) == 1
    assert order.deaths[-2:] == [(5, first), (5, second)]


def test_a_loop_that_is_not_entered_runs_nothing() -> None:
    assert [o.name for o in order_of(program(), (0,)).ops] == ["norm", "add"]


def training(outlived: bool) -> Program:
    """A storage of the root, which each of two bodies played back may be the last to read."""
    bodies = []
    for _ in range(2):
        frees = (Free(0, ROOT, 0, 0, outlived=outlived),)
        bodies.append(Loop("skip", (1,), {(1, 2, 2): Scope((op("backward"),), frees)}))
    root = Scope((op("norm"), *bodies, op("update")))
    return Program("wait", "train-n", root, stages=(1, 3))


def test_what_some_run_saw_alive_lives_until_the_last_place_that_a_step_comes_to() -> None:
    of_both = order_of(training(outlived=True), (0, 1, 2))
    assert of_both.deaths == [(2, Storage(0, 0))]
    of_first = order_of(training(outlived=True), (0, 1))
    assert of_first.deaths == [(1, Storage(0, 0))]


def test_what_every_run_saw_dead_dies_at_the_first_place() -> None:
    order = order_of(training(outlived=False), (0, 1, 2))
    assert order.deaths == [(1, Storage(0, 0))]
