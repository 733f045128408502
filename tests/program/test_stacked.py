"""Gradients of a part that are written as large as the whole."""

from __future__ import annotations

from condsim.program import Dim, Loop, Op, Program, Scope, Tensor
from condsim.program.stacked import stacked_gradients


def op(name: str, *sizes: int) -> Op:
    return Op(name, (), (Tensor(tuple(map(Dim, sizes)), "float"),))


def program(stages: tuple[int, ...]) -> Program:
    body = Scope((op("select_backward", 8, 4, 2), op("add", 8, 4, 2), op("add", 4, 2)))
    loop = Loop("experts", (1, 0), {(-1, 2, 2): body})
    root = Scope((op("add", 8, 4, 2), loop))
    return Program("looped", "train-n", root, stages=stages)


def test_they_are_the_picks_and_the_sums_as_large() -> None:
    assert stacked_gradients(program((1, 2))) == {(1, 0), (1, 1)}


def test_only_a_training_step_has_them() -> None:
    assert stacked_gradients(program(())) == frozenset()
