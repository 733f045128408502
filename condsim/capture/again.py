"""Observe a model once more, on other inputs: what it executes stays as it was recorded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from condsim.capture.observe import Quality, observe
from condsim.capture.quality import dense_quality, score_exits
from condsim.capture.sizes import learn_sizes
from condsim.errors import CondsimError
from condsim.live.inputs import as_batches
from condsim.live.model import LiveModel
from condsim.trace import Trace
from condsim.trace.encoding import in_memory


def observe_again(
    trace: Trace, model: Any, inputs: Sequence[Any], quality: Quality, spec: str
) -> Trace:
    """Return the trace of the same model on other inputs of the same sizes, without measurements.

    model: in evaluation mode. spec: how the model with these inputs can be built again.
    Raises CondsimError where the sites are not those of the trace.
    """
    live = LiveModel.of(model)
    batches = as_batches(list(inputs))
    learn_sizes(live, batches[0])
    if set(live.infos) != {site.name for site in trace.sites}:
        raise CondsimError(f"{spec} decides at other sites than trace {trace.name!r}")
    unit_rows = {site.name: site.unit_rows for site in trace.sites}
    seen = observe(live, batches, quality=quality, unit_rows=unit_rows)
    score_exits(live, batches, seen, quality)
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
