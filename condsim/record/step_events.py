"""The events of a recording with all marks: of a forward alone, or of a whole training step."""

from __future__ import annotations

from collections.abc import Sequence

from condsim.record.backward import backward_events
from condsim.record.events import Event, RecordedOp, Stage
from condsim.record.loops import Periods, with_marks
from condsim.record.marked import Marked
from condsim.record.recorder import Recorder
from condsim.record.updates import Owners, learn_owners, optimizer_events


def step_events(recorder: Recorder, periods: Periods, owners: Owners | None = None) -> list[Event]:
    """All events, with Enter and Leave around what stands behind guards.

    A recording of a forward alone has no stages, and is given as it is. owners: of all runs of a
    training step; None to learn them from this one.
    """
    forward, *stages = split(recorder.events)
    marked = with_marks(recorder, periods, forward)
    if not stages:
        return marked
    guarded = Marked(marked)
    if owners is None:
        owners = {}
        learn_owners(guarded, owners)
    backward, optimizer = stages
    events = [*marked, Stage("backward"), *backward_events(guarded, backward), Stage("optimizer")]
    return events + optimizer_events(guarded, optimizer, recorder.updated, owners)


def learn(recorder: Recorder, periods: Periods, owners: Owners) -> None:
    """Add what one run shows of loops without marks, and of guards in front of weights."""
    forward, *stages = split(recorder.events)
    marked = with_marks(recorder, periods, forward)
    if stages:
        learn_owners(Marked(marked), owners)


def split(events: Sequence[Event]) -> list[list[Event]]:
    """The events of the forward, and of each stage that follows."""
    parts: list[list[Event]] = [[]]
    for event in events:
        if isinstance(event, Stage):
            parts.append([])
        else:
            parts[-1].append(event)
    return parts


def forward_operators(recorder: Recorder) -> list[RecordedOp]:
    """The operators of the forward."""
    return [event for event in split(recorder.events)[0] if isinstance(event, RecordedOp)]
