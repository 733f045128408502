"""Iterations of loops that carry no marks."""

from __future__ import annotations

from record.made import operator, recording

from condsim.record.events import Enter, Event, ExpertsCall, Leave, RecordedOp, SiteCall
from condsim.record.loops import Periods, with_marks
from condsim.record.recorder import Recorder


def expert(number: int) -> list[RecordedOp]:
    """What one expert runs."""
    weights = [f"experts.{number}.{layer}" for layer in ("up", "down")]
    return [
        operator("index"),
        operator("linear", weight=weights[0]),
        operator("relu"),
        operator("linear", weight=weights[1]),
    ]


def called(tokens: list[int]) -> Recorder:
    """A recording in which the experts with tokens run one after the other, after a `where`."""
    events: list[Event] = [SiteCall("mix", begins=True), operator("where")]
    for number, rows in enumerate(tokens):
        if rows:
            events += expert(number)
    recorder = recording(*events, SiteCall("mix", begins=False))
    recorder.calls["mix"] = ExpertsCall(tokens, sum(tokens), 0, unmarked_loop=True)
    return recorder


def entered(events: list[Event]) -> list[int]:
    """Experts whose iterations are marked."""
    return [event.choice for event in events if isinstance(event, Enter)]


def test_three_iterations_show_a_loop() -> None:
    periods: Periods = {}
    events = with_marks(called([2, 0, 3, 1]), periods)
    assert periods == {"mix": (1, 4)}
    assert entered(events) == [0, 2, 3]
    assert [event.count for event in events if isinstance(event, Leave)] == [2, 3, 1]


def test_fewer_iterations_use_what_a_longer_loop_showed() -> None:
    assert entered(with_marks(called([0, 5, 0, 0]), {"mix": (1, 4)})) == [1]
    assert entered(with_marks(called([0, 5, 0, 0]), {})) == []


def test_a_loop_over_all_experts_has_those_without_rows() -> None:
    recorder = called([1, 1, 1])
    recorder.calls["mix"] = ExpertsCall([4, 0, 0], 4, 0, unmarked_loop=True)
    assert entered(with_marks(recorder, {})) == [0, 1, 2]


def test_marked_loops_are_left_alone() -> None:
    recorder = called([2, 1, 1])
    recorder.calls["mix"] = ExpertsCall([2, 1, 1], 4, 0, unmarked_loop=False)
    assert with_marks(recorder, {}) == recorder.events


def test_iterations_without_rows_may_be_shorter() -> None:
    events: list[Event] = [SiteCall("mix", begins=True), operator("where")]
    tokens = [2, 0, 3, 0]
    for number, rows in enumerate(tokens):
        events += [operator("eq"), operator("nonzero")]
        events += expert(number) if rows else []
    recorder = recording(*events, operator("view"), SiteCall("mix", begins=False))
    recorder.calls["mix"] = ExpertsCall(tokens, 5, 0, unmarked_loop=True)
    periods: Periods = {}
    marked = with_marks(recorder, periods)
    assert periods == {"mix": (1, 6, 2)}
    assert entered(marked) == [0, 1, 2, 3]
    assert [event.count for event in marked if isinstance(event, Leave)] == tokens


def test_a_loop_that_no_row_enters_is_left_alone() -> None:
    recorder = called([0, 0, 0, 0])
    assert entered(with_marks(recorder, {"mix": (1, 4)})) == []


def test_experts_may_be_numbered_in_any_part_of_their_names() -> None:
    recorder = called([2, 0, 3, 1])
    for event in recorder.events:
        if isinstance(event, RecordedOp):
            for operand in event.inputs:
                operand.weight = operand.weight.replace("experts.", "experts.expert_")
    assert entered(with_marks(recorder, {})) == [0, 2, 3]


def with_idle(tokens: list[int], idle: int, everyone: bool = False) -> Recorder:
    """The last experts compute nothing: their rows are taken and put back."""
    events: list[Event] = [SiteCall("mix", begins=True), operator("where")]
    for number, rows in enumerate(tokens):
        if rows or everyone:
            front, *rest = expert(number)
            computing = number < len(tokens) - idle
            events += [front, *(rest if computing else []), operator("index_add_")]
    recorder = recording(*events, operator("view"), SiteCall("mix", begins=False))
    unlike = frozenset(range(len(tokens) - idle, len(tokens)))
    recorder.calls["mix"] = ExpertsCall(tokens, sum(tokens), 0, unmarked_loop=True, idle=unlike)
    return recorder


def test_experts_that_compute_nothing_have_iterations_of_their_own() -> None:
    periods: Periods = {}
    assert entered(with_marks(with_idle([2, 1, 3, 1], 1), periods)) == [0, 1, 2, 3]
    assert periods == {"mix": (1, 5, 0, 2, 0)}
    assert entered(with_marks(with_idle([0, 0, 0, 3], 1), periods)) == [3]
    assert entered(with_marks(with_idle([0, 3, 0, 0], 1), periods)) == [1]


def test_a_loop_over_all_has_iterations_of_idle_experts_without_rows() -> None:
    periods: Periods = {}
    recorder = with_idle([2, 0, 3, 1, 0], 2, everyone=True)
    assert entered(with_marks(recorder, periods)) == [0, 1, 2, 3, 4]
    assert periods == {"mix": (1, 5, 5, 2, 2)}
