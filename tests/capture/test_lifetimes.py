"""Deaths of storages that runs saw, and those that follow."""

from __future__ import annotations

from condsim.capture.lifetimes import Frees, Lifetimes, implied
from condsim.program import Free, Op, Scope
from condsim.record.events import Died, RecordedOp
from condsim.record.nest import RunScope

FIRST_BODY = ((0, 0, 2, 2),)
SECOND_BODY = ((1, 0, 2, 2),)


def operator() -> RecordedOp:
    """An operator that creates one storage."""
    return RecordedOp("relu", [], [], (), "", "", "", 0, 0, False, False, [(4, "float")])


def test_a_death_that_a_run_saw_is_in_the_program() -> None:
    lifetimes = Lifetimes()
    first, second = operator(), operator()
    lifetimes.put(first, ((), 0), None)
    lifetimes.put(second, ((), 1), None)
    recorded = RunScope([first, second], frees=[(1, Died(first, 0))])
    program = Scope((Op("relu", (), ()), Op("relu", (), ())))
    scope = lifetimes.with_frees(program, [recorded])
    assert scope.frees == (Free(position=1, path=(), op=0, alloc=0),)


def two_bodies(second_position: int) -> Frees:
    """Storages 0 and 1 of the trunk, which die at one point of one body; 0 dies in another too."""
    return {
        FIRST_BODY: {Free(2, (), 0, 0): None, Free(2, (), 1, 0): None},
        SECOND_BODY: {Free(second_position, (), 0, 0): None},
    }


def test_what_died_together_dies_wherever_one_of_them_does() -> None:
    follows = implied(two_bodies(5), survived=set())
    assert follows == {SECOND_BODY: {Free(5, (), 1, 0): None}}


def test_what_a_run_saw_alive_does_not_die() -> None:
    survived = {((SECOND_BODY, 5), (((), 1), 0))}
    assert implied(two_bodies(5), survived) == {}
