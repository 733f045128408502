"""A backward is its forward played back, behind the same guards."""

from __future__ import annotations

from dataclasses import replace

import pytest
from record.made import operator

from condsim.record.backward import NotMirrored, backward_events, learn_joins
from condsim.record.events import Enter, Event, Leave, RecordedOp
from condsim.record.joins import Joins
from condsim.record.marked import Marked


def forward(*, rows: int = 2) -> Marked:
    """A norm, two experts of which each reads a part of one stack, a head; nodes 0 to 3."""
    one, two = operator("mm", (1,), (2,), "stack"), operator("mm", (1,), (3,), "stack")
    events: list[Event] = [made(operator("norm", (), (1,), "norm"), 1), Enter("e", 0)]
    events += [made(one, 2), Leave("e", 4, rows), Enter("e", 1), made(two, 3), Leave("e", 4, 1)]
    return Marked([*events, made(operator("head", (2, 3), (4,), "head"), 4)])


def made(op: RecordedOp, node: int) -> RecordedOp:
    """An operator of a forward after which autograd's next node has this number."""
    return replace(op, node=node)


def runs(name: str, node: int, reads: tuple[int, ...] = (), writes: int = 0) -> RecordedOp:
    """An operator that a node of the backward runs."""
    return replace(operator(name, reads, (writes,) if writes else ()), node=node)


def written(events: list[Event]) -> list[str]:
    """Events in short."""
    short = []
    for event in events:
        if isinstance(event, RecordedOp):
            short.append(event.name)
        elif isinstance(event, Enter):
            short.append(f"enter {event.choice}")
        elif isinstance(event, Leave):
            short.append(f"leave {event.count} of {event.outer}")
    return short


def test_the_last_branch_runs_first() -> None:
    backward: list[Event] = [operator("ones"), runs("head'", 3), runs("b'", 2), runs("a'", 1)]
    events = backward_events(forward(), [*backward, runs("norm'", 0)], {})
    bodies = ["enter 1", "b'", "leave 1 of 4", "enter 0", "a'", "leave 2 of 4"]
    assert written(events) == ["ones", "head'", *bodies, "norm'"]


def test_a_body_without_operators_is_entered_all_the_same() -> None:
    events = backward_events(forward(rows=0), [runs("head'", 3), runs("b'", 2)], {})
    assert written(events)[-2:] == ["enter 0", "leave 0 of 4"]


def test_operators_have_the_labels_of_the_forwards() -> None:
    marked = forward()
    marked.ops[0].module, marked.ops[0].role = "norm", "router:e"
    (event,) = (
        e for e in backward_events(marked, [runs("norm'", 0)], {}) if written([e])[0] == "norm'"
    )
    assert isinstance(event, RecordedOp)
    assert (event.module, event.role) == ("norm", "router:e")


def test_the_gradient_of_a_shared_weight_is_kept_after_the_loop() -> None:
    kept = replace(operator("detach"), accumulates="stack")
    backward = [runs("head'", 3), runs("b'", 2), runs("a'", 1), kept, runs("norm'", 0)]
    assert written(backward_events(forward(), backward, {}))[-2:] == ["detach", "norm'"]


def test_another_order_is_refused() -> None:
    with pytest.raises(NotMirrored, match="use_reentrant=False"):
        backward_events(forward(), [runs("a'", 1), runs("b'", 2)], {})


def skipped(*, rows: int) -> Marked:
    """A norm, a layer that rows may skip, a head that reads both."""
    layer = made(operator("mm", (1,), (2,), "layer"), 2)
    body = (
        [Enter("s", 1), layer, Leave("s", 4, rows)] if rows else [Enter("s", 1), Leave("s", 4, 0)]
    )
    norm, head = operator("norm", (), (1,), "norm"), operator("head", (1, 2), (4,), "head")
    return Marked([made(norm, 1), *body, made(head, 2 + bool(rows))])


def test_a_sum_with_a_branchs_gradient_stands_behind_its_guard() -> None:
    ran, idle = skipped(rows=3), skipped(rows=0)
    of_layer = [runs("head'", 2), runs("layer'", 1, (), 7)]
    with_sum = [*of_layer, runs("norm'", 0, (), 8), runs("add", 0, (7, 8), 9), runs("end", 0)]
    without = [runs("head'", 1), runs("norm'", 0), runs("end", 0)]
    joins: Joins = {}
    learn_joins(ran, with_sum, joins)
    learn_joins(idle, without, joins)
    taken = ["enter 1", "add", "leave 3 of 4"]
    assert written(backward_events(ran, with_sum, joins))[-5:] == ["norm'", *taken, "end"]
    empty = ["enter 1", "leave 0 of 4"]
    assert written(backward_events(idle, without, joins))[-4:] == ["norm'", *empty, "end"]
