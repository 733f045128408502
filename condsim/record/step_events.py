"""The events of a recording with all marks: of a forward alone, or of a whole training step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from condsim.record.backward import backward_events, learn_joins
from condsim.record.events import Event, RecordedOp, Stage
from condsim.record.joins import Joins
from condsim.record.loops import Periods, with_marks
from condsim.record.marked import Marked
from condsim.record.recorder import Recorder
from condsim.record.updates import Owners, learn_owners, optimizer_events


@dataclass
class Learned:
    """What runs of a training step show together.

    periods: of loops without marks. owners: guards in front of weights. joins: sums of gradients
    behind guards.
    """

    periods: Periods
    owners: Owners = field(default_factory=dict)
    joins: Joins = field(default_factory=dict)

    def learn(self, recorder: Recorder) -> None:
        """Add what one run shows."""
        forward, *stages = split(recorder.events)
        marked = with_marks(recorder, self.periods, forward)
        if stages:
            guarded = Marked(marked)
            learn_owners(guarded, self.owners)
            learn_joins(guarded, stages[0], self.joins)


def step_events(recorder: Recorder, learned: Learned) -> list[Event]:
    """All events, with Enter and Leave around what stands behind guards.

    A recording of a forward alone has no stages, and is given as it is. learned: from all runs.
    """
    forward, *stages = split(recorder.events)
    marked = with_marks(recorder, learned.periods, forward)
    if not stages:
        return marked
    guarded = Marked(marked)
    backward, optimizer = stages
    events = [*marked, Stage("backward")]
    events += backward_events(guarded, backward, learned.joins)
    events.append(Stage("optimizer"))
    return events + optimizer_events(guarded, optimizer, recorder.updated, learned.owners)


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
