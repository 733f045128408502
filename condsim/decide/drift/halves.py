"""The two halves of one trace, to ask whether it changed while it was captured."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from condsim.decide.units import Units
from condsim.errors import CondsimError
from condsim.trace import Decisions, Trace
from condsim.trace.encoding import in_memory


def halves(trace: Trace) -> tuple[Trace, Trace]:
    """Return the first and the second half of a trace's sequences, cut where a step begins.

    Raises CondsimError where all of them run in one step.
    """
    units = Units.of(trace)
    held = trace.steps["units"].to_numpy()
    first_unit = np.cumsum(held) - held
    begins = units.of_step[first_unit]
    later = np.flatnonzero(begins >= units.count / 2)
    if not len(later) or later[0] == 0:
        raise CondsimError(
            f"trace {trace.name!r} has one step of {units.count} {units.word}s: it has no halves; "
            "name another trace"
        )
    middle = int(later[0])
    first, second = of_steps(trace, slice(0, middle)), of_steps(trace, slice(middle, None))
    return _called(first, "first half"), _called(second, "second half")


def _called(trace: Trace, what: str) -> Trace:
    header = trace.header.model_copy(update={"name": f"{trace.name}, {what}"})
    return replace(trace, header=header, quality=pd.DataFrame())


def of_steps(trace: Trace, steps: slice) -> Trace:
    """Return some steps of a trace, with their decisions, and quality where each unit has one."""
    of_step = np.repeat(np.arange(len(trace.steps)), trace.steps["units"].to_numpy())
    chosen = np.zeros(len(trace.steps), bool)
    chosen[steps] = True
    decisions = {}
    for site in trace.sites:
        rows = np.repeat(chosen[of_step], trace.rows_per_unit(site))
        old = trace.decisions(site.name)
        weights = None if old.weights is None else old.weights[rows]
        scores = None if old.scores is None else old.scores[rows]
        decisions[site.name] = Decisions(old.ids[rows], weights, scores)
    kept = trace.steps[steps].reset_index(drop=True)
    quality = pd.DataFrame()
    if len(trace.quality) == trace.units:
        quality = trace.quality[chosen[of_step]].reset_index(drop=True)
    reader = in_memory(decisions)
    return Trace(trace.header, kept, trace.programs, reader, quality, profile=trace.profile)
