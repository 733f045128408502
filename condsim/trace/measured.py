"""Measured rows of two traces: which one has and the other lacks, and both joined.

Times are measured, so rows with the same times of the same case are the same row.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from condsim.trace import Trace

PAIR = ("strategy", "baseline", "phase", "batch", "conditional_s", "baseline_s", "fingerprint")
"""What tells a timed pair from all others."""
CASE = ("strategy", "baseline", "phase", "batch", "protocol", "fingerprint")
"""Times by segment of a case on a machine take the place of older ones."""
PART = (*CASE, "process", "side", "segment", "operator", "seconds", "taken")
"""What tells a time by segment from all others."""


def lost(measurements: pd.DataFrame, segments: pd.DataFrame, trace: Trace) -> int:
    """Rows of an older trace that would be gone if `trace` took its place."""
    pairs = lacking(measurements, trace.measurements, PAIR)
    parts = lacking(segments, trace.segments, CASE)
    return len(pairs) + len(parts)


def joined(now: Trace, timed: Trace, opened: Trace) -> Trace:
    """`now` with the measurements, segments and profile that `timed` has and `opened` has not."""
    profile = now.profile if timed.profile is opened.profile else timed.profile
    pairs = lacking(timed.measurements, opened.measurements, PAIR)
    parts = lacking(timed.segments, opened.segments, PART)
    if len(pairs):
        now = now.with_measurements(_numbered_after(pairs, now.measurements), profile)
    if len(parts):
        now = now.with_segments(parts, profile)
    return now


def lacking(table: pd.DataFrame, other: pd.DataFrame, columns: Iterable[str]) -> pd.DataFrame:
    """Rows of `table` that `other` has not, told apart by `columns`."""
    known = set(_rows(other, columns))
    missing = [row not in known for row in _rows(table, columns)]
    return table.loc[np.array(missing, bool)].reset_index(drop=True)


def _numbered_after(pairs: pd.DataFrame, older: pd.DataFrame) -> pd.DataFrame:
    """`pairs` with numbers of processes that no older one has."""
    if older.empty:
        return pairs
    first = int(older["process"].max()) + 1
    lowest = int(pairs["process"].min())
    numbers = pairs["process"] + max(0, first - lowest)
    return pairs.assign(process=numbers)


def _rows(table: pd.DataFrame, columns: Iterable[str]) -> list[tuple[object, ...]]:
    """The values of some columns, a tuple a row; None in place of NaN, which equals nothing."""
    values = []
    for name in columns:
        column = table[name].astype(object)
        values.append(column.where(column.notna(), None).tolist())
    return list(zip(*values, strict=True))
