"""Which updates of an optimizer stand behind guards."""

from __future__ import annotations

import pytest
from record.made import operator
from record.test_backward import written

from condsim.errors import CondsimError
from condsim.record.events import Enter, Event, Leave
from condsim.record.marked import Marked
from condsim.record.updates import Owners, learn_owners, optimizer_events

ORDER = ("norm", "expert0", "expert1")


def forward(*, rows: tuple[int, int] = (3, 1)) -> Marked:
    """A norm, and two experts with a weight each; one without rows runs nothing."""
    events: list[Event] = [operator("norm", (), (1,), "norm")]
    for expert, taken in enumerate(rows):
        body = [operator("mm", (1,), (2,), f"expert{expert}")] if taken else []
        events += [Enter("e", expert), *body, Leave("e", 4, taken)]
    return Marked(events)


def owners() -> Owners:
    learnt: Owners = {}
    learn_owners(forward(), learnt)
    return learnt


def test_a_weight_of_one_branch_is_its_branchs() -> None:
    assert owners() == {"norm": (), "expert0": (("e", 0),), "expert1": (("e", 1),)}


def test_a_weight_that_two_branches_read_is_nobodys() -> None:
    learnt = owners()
    both = Marked([Enter("e", 1), operator("mm", (1,), (2,), "expert0"), Leave("e", 4, 2)])
    learn_owners(both, learnt)
    assert learnt["expert0"] == ()


def test_updates_stand_behind_their_branch() -> None:
    steps: list[Event] = []
    for weight in ORDER:
        steps += [operator("step", (), (), f"{weight}/step"), operator("sqrt", (5,), (6,))]
    events = optimizer_events(forward(), steps, ORDER, owners())
    bodies = [f for e in (0, 1) for f in (f"enter {e}", "step", "sqrt", f"leave {(3, 1)[e]} of 4")]
    assert written(events) == ["step", "sqrt", *bodies]


def test_a_branch_without_rows_has_an_empty_body() -> None:
    steps: list[Event] = [operator("step", (), (), weight) for weight in ("norm", "expert1")]
    events = optimizer_events(forward(rows=(0, 1)), steps, ORDER, owners())
    assert written(events)[1:3] == ["enter 0", "leave 0 of 4"]


def test_one_call_for_all_weights_is_refused_where_routing_decides_which() -> None:
    both = operator("_fused_adamw_", (), (), "expert0")
    both.inputs += operator("", (), (), "expert1").inputs
    with pytest.raises(CondsimError, match="foreach=False and fused=False"):
        optimizer_events(forward(), [both], ORDER, owners())


def test_one_call_for_all_weights_is_fine_where_each_has_a_gradient() -> None:
    both = operator("_fused_adamw_", (), (), "a")
    both.inputs += operator("", (), (), "b").inputs
    assert optimizer_events(Marked([]), [both], ("a", "b"), {}) == [both]
