"""How many micro-batches a training step has, where another number is asked for."""

from __future__ import annotations

from dataclasses import replace

from condsim.errors import CondsimError
from condsim.program.accumulation import accumulates
from condsim.trace import Trace


def of_micro_batches(trace: Trace, asked: int | None) -> Trace:
    """Return the trace with steps of so many micro-batches; None for as many as it was captured
    with.

    Raises CondsimError where nothing says what a second micro-batch runs.
    """
    captured = trace.header.accumulate
    if asked is None or asked == captured:
        return trace
    if not any(accumulates(program) for program in trace.programs.values()):
        raise CondsimError(
            f"accumulate: trace {trace.name!r} holds no step of several micro-batches, got "
            f"{asked}; capture one with Training(accumulate=2) or more (condsim capture SPEC "
            "--train --accumulate 2)"
        )
    return trace.results.remember(("accumulate", asked), lambda: _with(trace, asked / captured))


def _with(trace: Trace, factor: float) -> Trace:
    """The trace with `factor` times as many micro-batches, each of which costs a row as much."""
    sites = []
    for site in trace.sites:
        flops = tuple(factor * of_branch for of_branch in site.branch_flops)
        sites.append(site.model_copy(update={"branch_flops": flops}))
    micro_batches = round(factor * trace.header.accumulate)
    changes = {"sites": tuple(sites), "accumulate": micro_batches}
    return replace(trace, header=trace.header.model_copy(update=changes))
