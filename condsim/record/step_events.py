"""The events of a recording with all marks: of a forward alone, or of a whole training step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from condsim.program.stages import BACKWARD, FORWARD, OPTIMIZER
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
    behind guards, of each micro-batch.
    """

    periods: Periods
    owners: Owners = field(default_factory=dict)
    joins: dict[int, Joins] = field(default_factory=dict)

    def learn(self, recorder: Recorder) -> None:
        """Add what one run shows."""
        parts = split(recorder.events)
        if len(parts) == 1:
            with_marks(recorder, self.periods, parts[0])
        for number, (forward, backward) in enumerate(micro_batches(parts)):
            guarded = Marked(with_marks(recorder, self.periods, forward))
            learn_owners(guarded, self.owners)
            learn_joins(guarded, backward, self.joins.setdefault(number, {}))


def step_events(recorder: Recorder, learned: Learned) -> list[Event]:
    """All events, with Enter and Leave around what stands behind guards.

    A recording of a forward alone has no stages, and is given as it is. learned: from all runs.
    """
    parts = split(recorder.events)
    if len(parts) == 1:
        return with_marks(recorder, learned.periods, parts[0])
    events: list[Event] = []
    for number, (forward, backward) in enumerate(micro_batches(parts)):
        guarded = Marked(with_marks(recorder, learned.periods, forward))
        if number:
            events.append(Stage(FORWARD))
        events += [*guarded.events, Stage(BACKWARD)]
        events += backward_events(guarded, backward, learned.joins.get(number, {}))
    events.append(Stage(OPTIMIZER))
    return events + optimizer_events(guarded, parts[-1], recorder.updated, learned.owners)


def micro_batches(parts: Sequence[list[Event]]) -> list[tuple[list[Event], list[Event]]]:
    """The forward and the backward of each micro-batch of a training step; [] of a forward alone.

    parts: as of `split`.
    """
    of_micro_batches = parts[:-1]
    return list(zip(of_micro_batches[::2], of_micro_batches[1::2], strict=True))


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
    """The operators of the forward, of each micro-batch where a step has several."""
    parts = split(recorder.events)
    forwards = [forward for forward, _ in micro_batches(parts)] or parts[:1]
    return [event for part in forwards for event in part if isinstance(event, RecordedOp)]
