"""Columns of the tables that a trace carries beside its decisions."""

STEPS = ("phase", "units", "seq", "past")
"""A row a captured step: its phase, units, positions of each unit, and positions before them."""

MEASUREMENTS = (
    "strategy", "baseline", "phase", "batch", "protocol", "runtime", "dtype", "threads", "process",
    "pair", "step", "repetitions", "conditional_s", "baseline_s", "clock", "yardstick_s",
    "fingerprint", "where", "torch", "taken", "yardstick_ratio",
)  # fmt: skip
"""A row a timed pair."""

MEASURED_PAIR = (
    "strategy", "baseline", "phase", "batch", "conditional_s", "baseline_s", "fingerprint",
)  # fmt: skip
"""Columns of `MEASUREMENTS` that every version of condsim has written."""

SEGMENTS = (
    "strategy", "baseline", "phase", "batch", "protocol", "runtime", "dtype", "threads", "process",
    "step", "side", "segment", "operator", "calls", "seconds", "profiler_s", "whole_s",
    "repetitions", "quiet", "fingerprint", "where", "torch", "taken",
)  # fmt: skip
"""A row a process, step, side, segment and operator (`condsim.measure.segments`)."""
