"""A stream of requests in windows, each tested against a reference, with a false alarm every N."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd

from condsim import checks
from condsim.decide.drift.permutation import permuted
from condsim.errors import CondsimError

WINDOW = 32
"""Sequences of a window where nobody says how many."""
LEAST_PERMUTATIONS = 1000
MOST_EVERY = 10_000
MOST_OWN = 40
"""Windows of a reference that are tested against its rest."""
COLUMNS = ["window", "first", "last", "distance", "by_chance", "p", "alarm"]


def stream(
    reference: Mapping[str, np.ndarray],
    arriving: Mapping[str, np.ndarray],
    every: int,
    window: int = WINDOW,
) -> pd.DataFrame:
    """Test each window of a stream against a reference: a row a window.

    reference, arriving: site → rows of each sequence that took each branch, [sequences, branches],
    those of the stream as they arrived. every: windows without drift that one false alarm comes in,
    on average. window: sequences of a window; a last one that is not full is left out.
    alarm: whether p <= 1 / every, of a permutation test of whole sequences over all sites.
    Raises CondsimError for a number of windows or sequences that cannot be.
    """
    total = len(next(iter(arriving.values())))
    _check(every, window, total)
    rows = []
    for number in range(total // window):
        part = _window(arriving, number, window)
        rows.append(_row(part, reference, number, window, every))
    return pd.DataFrame(rows, columns=COLUMNS)


def own_alarms(reference: Mapping[str, np.ndarray], every: int, window: int) -> float | None:
    """Return the share of the reference's own windows that would raise an alarm against its rest.

    Much more than 1 / every says that sequences which follow each other are alike, so that alarms
    come more often than was asked for. None where the reference has less than two windows.
    """
    total = len(next(iter(reference.values())))
    count = total // window
    if count < 2:
        return None
    spaced = np.unique(np.linspace(0, count - 1, min(count, MOST_OWN)).astype(int))
    alarms = []
    for number in spaced.tolist():
        part = _window(reference, number, window)
        inside = np.arange(total) // window == number
        rest = {site: counts[~inside] for site, counts in reference.items()}
        alarms.append(_row(part, rest, number, window, every)[-1])
    return float(np.mean(alarms))


def _check(every: int, window: int, total: int) -> None:
    checks.whole("false_alarm_every", every, least=2, most=MOST_EVERY)
    checks.whole("window", window)
    if not 1 <= window <= total:
        raise CondsimError(
            f"a window has 1 to {total:,} sequences, as many as there are, got {window}"
        )


def _window(counts: Mapping[str, np.ndarray], number: int, window: int) -> dict[str, np.ndarray]:
    """The sequences of a window."""
    first = number * window
    return {site: rows[first : first + window] for site, rows in counts.items()}


def _row(
    part: Mapping[str, np.ndarray],
    reference: Mapping[str, np.ndarray],
    number: int,
    window: int,
    every: int,
) -> tuple[int, int, int, float, float, float, bool]:
    """A window tested: values of `COLUMNS`."""
    permutations = every * math.ceil(LEAST_PERMUTATIONS / every) - 1  # 1/every is a value of p
    moved = permuted(part, reference, permutations, seed=number).overall
    first = number * window
    alarm = moved.p <= 1 / every + 1e-12
    return number, first, first + window - 1, moved.distance, moved.by_chance, moved.p, alarm
