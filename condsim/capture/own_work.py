"""Whether a trace multiplies what the model multiplies when it runs by itself.

What a forward was read as gives the forward's own result. That alone does not say that it does the
same work: a loop may stop early where nothing is left to do, or run a layer before it decides that
nobody needs it. So FLOPs are compared, on batches of the user, with a run without adapters.
"""

from __future__ import annotations

from collections.abc import Sequence

from condsim.capture.probe import key
from condsim.errors import CondsimError
from condsim.live.inputs import Batch
from condsim.live.model import LiveModel
from condsim.lower import lower
from condsim.mechanisms import MECHANISMS
from condsim.program.regime import PREFILL
from condsim.program.work import work
from condsim.record.events import RecordedOp
from condsim.steps.extents import Steps
from condsim.steps.rebatch import rebatch, site_rules
from condsim.trace import Trace

MOST_OFF = 0.01
"""Relative difference of FLOPs that sizes may have which follow the rows by a fraction."""
COMPARED = 4
"""Batches that are compared, at most."""


def refuse_other_work(live: LiveModel, batches: Sequence[Batch], trace: Trace) -> None:
    """Raises CondsimError where the trace executes other FLOPs than the model by itself.

    Only whole inputs are compared; a model in training, on the meta device, or one that decides
    while it decodes has none.
    """
    if live.phase != PREFILL or live.on_meta:
        return
    cut = rebatch(trace, batches[0].units, PREFILL)
    program = trace.programs[key(live.captured, cut.regime)]
    rules = site_rules(trace)
    alike = _as_the_first(batches)
    for number in _spread(len(alike)):
        step: Steps = cut.steps.step(number)
        lowered = lower(program, rules, dict(live.captured), step)
        of_program = 0
        for call in lowered.sequence():
            inputs = [tensor.shape(call.bindings) for tensor in call.op.inputs]
            outputs = [tensor.shape(call.bindings) for tensor in call.op.outputs]
            of_program += int(work(call.op.name, inputs, outputs, call.op.params).flops)
        own = own_flops(live, alike[number])
        if abs(of_program - own) > MOST_OFF * own:
            if program.flagged:
                unfollowed = _unfollowed(program.flagged, number, own, of_program)
                raise CondsimError(f"{unfollowed}; {_way_to_mark(live)}")
            raise CondsimError(_refusal(live, number, own, of_program))


def own_flops(live: LiveModel, batch: Batch) -> int:
    """FLOPs of a batch in a run of the model without adapters."""
    flops = 0
    for event in live.record_bare(batch).events:
        if isinstance(event, RecordedOp):
            inputs = [tensor.shape for tensor in event.inputs]
            outputs = [tensor.shape for tensor in event.outputs]
            flops += int(work(event.name, inputs, outputs, event.params).flops)
    return flops


def _as_the_first(batches: Sequence[Batch]) -> list[Batch]:
    """The batches up to the first that has another size: these are the trace's first steps."""
    alike: list[Batch] = []
    for batch in batches:
        if (batch.units, batch.seq) != (batches[0].units, batches[0].seq):
            break
        alike.append(batch)
    return alike


def _spread(count: int) -> list[int]:
    """At most `COMPARED` numbers below a count, the first and the last among them."""
    if count <= COMPARED:
        return list(range(count))
    distance = (count - 1) / (COMPARED - 1)
    return [round(part * distance) for part in range(COMPARED)]


def _unfollowed(flagged: Sequence[str], number: int, own: int, of_program: int) -> str:
    """Where sizes follow no form. flagged: operators that have them."""
    return (
        f"inputs: batch {number} executes {own:,} FLOPs and {of_program:,} by the sizes that were "
        f"found: {flagged[0]} has sizes that follow neither units nor positions by whole steps, as "
        "behind a stride; capture batches of each length apart, with units of a fixed size "
        "(sequence_axis=None); or the sizes follow decisions that were not found"
    )


def _way_to_mark(live: LiveModel) -> str:
    """What to write into a model that has the mechanism of the first site."""
    info = next(iter(live.infos.values()))
    return MECHANISMS[info.mechanism].how_to_mark


def _refusal(live: LiveModel, number: int, own: int, of_program: int) -> str:
    info = next(iter(live.infos.values()))
    return (
        f"site {info.name!r}: batch {number} executes {own:,} FLOPs when the model runs by itself, "
        f"and {of_program:,} by what was read of its decisions: its code does other work than they "
        "say (a loop that stops early, a layer that runs before it is known who needs it); "
        f"{_way_to_mark(live)}"
    )
