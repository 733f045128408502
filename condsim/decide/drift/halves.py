"""The two halves of one trace, to ask whether it changed while it was captured."""

from __future__ import annotations

import numpy as np

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
    return _part(trace, slice(0, middle), "first"), _part(trace, slice(middle, None), "second")


def _part(trace: Trace, steps: slice, which: str) -> Trace:
    """Some steps of a trace, with their decisions."""
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
    header = trace.header.model_copy(update={"name": f"{trace.name}, {which} half"})
    kept = trace.steps[steps].reset_index(drop=True)
    return Trace(header, kept, trace.programs, in_memory(decisions), profile=trace.profile)
