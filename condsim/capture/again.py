"""Observe a model once more, on other inputs: what it executes stays as it was recorded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from condsim.capture.observe import Observation, Quality, StepSize, keep_decisions, observe
from condsim.capture.quality import dense_quality, score_exits
from condsim.capture.sizes import learn_sizes
from condsim.errors import CondsimError
from condsim.live.execution import Execution
from condsim.live.inputs import Batch, as_batches
from condsim.live.model import LiveModel
from condsim.steps.extents import capacity
from condsim.trace import Trace
from condsim.trace.encoding import in_memory
from condsim.trace.spec import CAPACITY, DROPPING, with_setting


def observe_again(
    trace: Trace, model: Any, inputs: Sequence[Any], quality: Quality, spec: str
) -> Trace:
    """Return the trace of the same model on other inputs of the same sizes, without measurements.

    model: in evaluation mode. spec: how the model with these inputs can be built again.
    Raises CondsimError where the sites are not those of the trace.
    """
    live, batches = _known(trace, model, inputs, spec)
    unit_rows = {site.name: site.unit_rows for site in trace.sites}
    seen = observe(live, batches, quality=quality, unit_rows=unit_rows)
    score_exits(live, batches, seen, quality)
    return _seen(trace, live, batches, seen, quality, spec)


def observe_dropping(
    trace: Trace, model: Any, inputs: Sequence[Any], quality: Quality, factor: float
) -> Trace:
    """Return the trace of a mixture of experts that drops what is over an expert's room.

    factor: the room over an even share of a batch's rows (`condsim.steps.extents.capacity`).
    Decisions are those of the model that drops, before it does.
    Raises CondsimError for a model that has anything but experts, and as `observe_again` does.
    """
    strategies = dict.fromkeys(trace.mechanisms, DROPPING)
    if not all(site.routing.mixes_experts for site in trace.sites):
        raise CondsimError(f"capacity_factor: {trace.name!r} has more than mixtures of experts")
    spec = with_setting(trace.header.provenance.spec or trace.name, CAPACITY, factor)
    live, batches = _known(trace, model, inputs, spec)
    seen = Observation(unit_rows={site.name: site.unit_rows for site in trace.sites})
    site = trace.sites[0]
    for number, batch in enumerate(batches):
        rows = batch.units * site.unit_rows.of(batch.seq or 1)
        room = int(capacity(rows, site.top_k or 1, site.branches, factor))
        run = Execution(strategies, observed={}, room=room)
        seen.add_quality("conditional", quality(live.run(batch, run), number))
        keep_decisions(live, seen, run, StepSize(live.phase, batch.units, batch.seq, past=0))
    return _seen(trace, live, batches, seen, quality, spec)


def _known(
    trace: Trace, model: Any, inputs: Sequence[Any], spec: str
) -> tuple[LiveModel, list[Batch]]:
    """The model with its sites, and its batches. Raises CondsimError for another model."""
    live = LiveModel.of(model)
    batches = as_batches(list(inputs))
    learn_sizes(live, batches[0])
    if set(live.infos) != {site.name for site in trace.sites}:
        raise CondsimError(f"{spec} decides at other sites than trace {trace.name!r}")
    return live, batches


def _seen(
    trace: Trace,
    live: LiveModel,
    batches: list[Batch],
    seen: Observation,
    quality: Quality,
    spec: str,
) -> Trace:
    """The trace with what was seen, and the quality of the dense network."""
    dense_quality(live, batches, seen, quality, dict(trace.header.costliest))
    provenance = trace.header.provenance.model_copy(update={"spec": spec})
    header = trace.header.model_copy(update={"provenance": provenance})
    reader = in_memory(seen.joined())
    steps = pd.DataFrame(seen.steps)
    unmeasured = replace(trace, measurements=trace.measurements.iloc[:0], profile=None)
    segments = trace.segments.iloc[:0]
    return replace(
        unmeasured,
        header=header,
        steps=steps,
        reader=reader,
        quality=seen.quality_table(),
        segments=segments,
    )
