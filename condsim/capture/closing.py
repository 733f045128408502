"""The closing check: programs are fitted at small sizes, and compared at the captured one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

from condsim.capture.probe import key
from condsim.live.decode import decode_step
from condsim.live.execution import Execution
from condsim.live.inputs import Batch
from condsim.live.model import LiveModel
from condsim.live.train_step import record_step
from condsim.lower import lower
from condsim.program import Program
from condsim.program.regime import DECODE, TRAIN
from condsim.program.shares import shares_of
from condsim.program.work import has_formula, is_uncounted
from condsim.record.events import RecordedOp
from condsim.record.nest import guarded, tree
from condsim.record.recorder import Recorder
from condsim.steps.extents import Steps
from condsim.steps.rebatch import rebatch, site_rules
from condsim.trace import Trace

Signature = tuple[str, tuple[tuple[int, ...], ...]]
"""An operator's name, and the shapes of its inputs."""


def checked(live: LiveModel, batch: Batch, trace: Trace) -> Trace:
    """The trace, with a note for each phase whose program is not what the model executes.

    batch: the first that was captured. Its first step is recorded, and so is the first decode step
    after it. Operators whose FLOPs nobody can count are noted too.
    """
    notes = []
    for phase in dict.fromkeys(trace.steps["phase"]):
        cut = rebatch(trace, batch.units, phase)
        program = trace.programs[key(live.captured, cut.regime)]
        recorder = _record(live, batch, phase)
        notes += _uncounted(recorder)
        notes += _shares(program, phase)
        odd = _departure(recorder, program, trace, cut.steps.step(0), live.captured)
        if odd:
            notes.append(f"{phase}: the program is not what the model executes: {odd}")
    notes = list(dict.fromkeys(notes))
    header = trace.header
    return replace(trace, header=header.model_copy(update={"notes": (*header.notes, *notes)}))


def _uncounted(recorder: Recorder) -> list[str]:
    """A note on each operator that multiplies much, as it seems, and counts as 0 FLOPs."""
    notes = []
    for event in recorder.events:
        if not isinstance(event, RecordedOp):
            continue
        foreign = event.name in recorder.foreign and not has_formula(event.name)
        if foreign or is_uncounted(event.name):
            where = event.module or "the model"
            notes.append(f"{event.name} in {where} counts as 0 FLOPs: it has no formula")
    return notes


def _shares(program: Program, phase: str) -> list[str]:
    """A note on the sizes that are shares of others."""
    names = sorted(shares_of(program))
    if not names:
        return []
    return [
        f"{phase}: sizes that are a share of the rows are taken for {', '.join(names)}, which "
        "gives all that were seen; at other sizes they may be off by one"
    ]


def _record(live: LiveModel, batch: Batch, phase: str) -> Recorder:
    """The step as the model itself runs it."""
    execution = Execution(dict(live.captured))
    if phase == TRAIN:
        return record_step(live, batch, execution)
    if phase != DECODE:
        return live.record(batch, execution)
    step = decode_step(live, batch)
    return live.record(step.batch, execution, **step.cache)


def _departure(
    recorder: Recorder,
    program: Program,
    trace: Trace,
    step: Steps,
    captured: Mapping[str, str],
) -> str:
    """The first operator that was recorded and is not in the program's step; "" for none."""
    lowered: Counter[Signature] = Counter()
    for call in lower(program, site_rules(trace), dict(captured), step).sequence():
        inputs = tuple(tensor.shape(call.bindings) for tensor in call.op.inputs)
        lowered[call.op.name, inputs] += 1
    for op, _ in guarded(tree(recorder, dict(program.periods))):
        signature = (op.name, tuple(tensor.shape for tensor in op.inputs))
        lowered[signature] -= 1
        if lowered[signature] < 0:
            shapes = " and ".join(str(list(tensor.shape)) for tensor in op.inputs)
            return f"{op.name} of {shapes} in {op.module or 'the model'} has another size there"
    return ""
