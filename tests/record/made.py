"""Recordings that are made by hand."""

from __future__ import annotations

from torch import nn

from condsim.record.events import Event, RecordedOp, RecordedTensor
from condsim.record.recorder import Recorder


def operator(
    name: str, reads: tuple[int, ...] = (), writes: tuple[int, ...] = (), weight: str = ""
) -> RecordedOp:
    """An operator. reads, writes: numbers of storages. weight: one more input, where given."""
    inputs = [RecordedTensor((2, 3), "float", storage=number) for number in reads]
    if weight:
        inputs.append(RecordedTensor((3, 3), "float", weight, storage=-1))
    outputs = [RecordedTensor((2, 3), "float", storage=number) for number in writes]
    return RecordedOp(name, inputs, outputs, (), "", "", "", 0, 0, False, False)


def recording(*events: Event) -> Recorder:
    """A recording of these events."""
    recorder = Recorder(nn.Identity())
    recorder.events += events
    return recorder
