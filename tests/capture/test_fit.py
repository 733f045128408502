"""Recorded scopes → a program."""

from __future__ import annotations

import pytest

from condsim.capture.fit import Fitter, Run
from condsim.capture.fit_operator import Misfit
from condsim.program import Loop
from condsim.record.events import RecordedOp, RecordedTensor
from condsim.record.nest import Instance, RunLoop, RunScope


def operator(name: str, rows: int) -> RecordedOp:
    """An operator with one input and one output of so many rows."""
    inputs = [RecordedTensor((rows, 3), "float")]
    outputs = [RecordedTensor((rows, 3), "float")]
    return RecordedOp(name, inputs, outputs, (), "", "", "", 0, 10, False, False)


def run(batch: int, *names: str) -> Run:
    """A run of operators on all rows."""
    scope = RunScope([operator(name, batch) for name in names])
    return Run({"batch": batch}, scope, {})


def guarded_run(batch: int, bodies: dict[int, tuple[int, str]]) -> Run:
    """A run of a guard. bodies: branch → (rows that took it, operator behind it)."""
    loop = RunLoop("gate")
    for choice, (rows, name) in bodies.items():
        scope = RunScope([operator(name, rows)])
        loop.instances.append(Instance(choice, scope, outer=batch, rows=rows))
    return Run({"batch": batch}, RunScope([loop]), {})


def loop_of(runs: list[Run]) -> Loop:
    """The guard of the program that the runs give."""
    program = Fitter().program("compacted", "prefill-n", runs)
    (loop,) = program.root.nodes
    assert isinstance(loop, Loop)
    return loop


def test_a_program_gives_sizes_that_no_run_had() -> None:
    program = Fitter().program("compacted", "prefill-n", [run(b, "relu", "mul") for b in (2, 3, 5)])
    assert [op.outputs[0].shape({"batch": 100}) for op in program.root.nodes] == [(100, 3)] * 2
    assert program.flagged == ()
    assert program.probed == ({"batch": 2}, {"batch": 3}, {"batch": 5})


def test_streams_of_different_lengths_do_not_fit() -> None:
    with pytest.raises(Misfit, match="they part at operator 1: add, mul"):
        Fitter().program("x", "prefill-n", [run(2, "relu", "mul", "add"), run(3, "relu", "add")])


def test_an_operator_and_a_guard_in_one_place_do_not_fit() -> None:
    with pytest.raises(Misfit, match="a guard of site 'gate' stands where another run has"):
        Fitter().program("x", "prefill-n", [guarded_run(2, {1: (1, "relu")}), run(3, "relu")])


def test_alike_branches_share_a_body() -> None:
    runs = [guarded_run(b, {0: (r, "relu"), 1: (b - r, "relu")}) for b, r in ((5, 2), (7, 4))]
    loop = loop_of(runs)
    assert list(loop.bodies) == [(-1, 2, 2)]


def test_branches_that_differ_have_bodies_of_their_own() -> None:
    runs = [guarded_run(b, {0: (r, "relu"), 1: (b - r, "gelu")}) for b, r in ((5, 2), (7, 4))]
    loop = loop_of(runs)
    assert list(loop.bodies) == [(0, 2, 2), (1, 2, 2)]


def test_one_row_has_a_body_of_its_own_where_it_runs_something_else() -> None:
    runs = [
        guarded_run(5, {1: (1, "single")}),
        guarded_run(7, {1: (4, "several")}),
        guarded_run(9, {1: (3, "several")}),
    ]
    loop = loop_of(runs)
    assert sorted(loop.bodies) == [(1, 2, 1), (1, 2, 2)]


def nested_run(batch: int, guards: int) -> Run:
    """A run of guards in one another, each body with an operator of a size that no form gives."""
    odd = operator("relu", batch * batch * batch * batch // 3)
    scope = RunScope([odd])
    for number in reversed(range(guards)):
        loop = RunLoop(f"gate{number}", [Instance(1, scope, outer=batch, rows=batch)])
        scope = RunScope([operator("mul", batch), loop])
    return Run({"batch": batch}, scope, {})


@pytest.mark.parametrize("guards", [1, 3, 12])
def test_what_fits_no_form_is_tried_once_a_guard(
    guards: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = []
    split = Fitter._split
    monkeypatch.setattr(Fitter, "_split", lambda *args: tries.append(1) or split(*args))
    runs = [nested_run(batch, guards) for batch in (2, 3, 5, 7)]
    program = Fitter().program("compacted", "prefill-n", runs)
    assert program.flagged == ("relu in the model",)
    assert len(tries) <= guards + 4
