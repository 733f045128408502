"""The verdict: by where an interval lies, never by a point inside of it."""

from __future__ import annotations

FASTER, SLOWER, TOO_CLOSE = "faster", "slower", "too close to call"
CANNOT_SAY = "cannot say"
PAYS = {
    FASTER: "pays",
    TOO_CLOSE: TOO_CLOSE,
    SLOWER: "does not pay",
    CANNOT_SAY: CANNOT_SAY,
}
"""Verdict → what it says."""


def verdict_of(interval: tuple[float, float], threshold: float = 1.0) -> str:
    """Return what an interval of speedups says: above the threshold, below it, or around it."""
    low, high = interval
    if low > threshold:
        return FASTER
    return SLOWER if high < threshold else TOO_CLOSE
