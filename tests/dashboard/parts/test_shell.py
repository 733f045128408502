"""What surrounds every page."""

from __future__ import annotations

from dataclasses import replace

from condsim.dashboard.parts.shell import summary
from condsim.trace import Trace


def test_a_trace_is_summed_up_in_a_few_words(trace: Trace) -> None:
    assert summary(trace) == f"early exit, {trace.units:,} units, measured"
    unmeasured = replace(trace, measurements=trace.measurements.iloc[:0])
    assert summary(unmeasured) == f"early exit, {trace.units:,} units"
