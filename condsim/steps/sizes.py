"""Sizes of calls: several extents at once, and which calls have the same."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

Sizes = Mapping[str, np.ndarray]
"""Extent → int [m]."""

TABLE_A_CALL = 8
"""Sizes are told apart by a table of all that lie between the least and the largest, if these are
not more than so many times the calls."""


def first_of_each(sizes: Sizes) -> tuple[np.ndarray, np.ndarray]:
    """Return (first call of each distinct size, which of these each call has), int each.

    The distinct sizes stand in the order of their extents, whatever the calls' order is.
    """
    calls = len(next(iter(sizes.values())))
    combined = np.zeros(calls, np.int64)
    wide = 1
    for values in sizes.values():
        low, high = int(values.min()), int(values.max())
        if low != high:
            combined = combined * (high - low + 1) + (values - low)
            wide *= high - low + 1
    if wide == 1:
        return np.zeros(1, np.int64), np.zeros(calls, np.int64)
    if wide <= TABLE_A_CALL * calls:
        return _by_table(combined, wide)
    _, first, of_call = np.unique(combined, return_index=True, return_inverse=True)
    return first, of_call


def _by_table(numbers: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """As `np.unique` says it of numbers from 0 to below `most`."""
    first_of = np.full(most, -1)
    backwards = np.arange(len(numbers))[::-1]
    first_of[numbers[backwards]] = backwards  # the last one that is written stays
    present = np.flatnonzero(first_of >= 0)
    first = first_of[present]
    first_of[present] = np.arange(len(present))
    return first, first_of[numbers]


def distinct_numbers(numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (distinct numbers in order, which of these each is).

    numbers: int of any shape, 0 or more.
    """
    if numbers.max(initial=0) > TABLE_A_CALL * numbers.size:
        found, which = np.unique(numbers, return_inverse=True)
        return found, which.reshape(numbers.shape)
    times = np.bincount(numbers.ravel())
    found = np.flatnonzero(times)
    place = np.zeros(len(times), np.int64)
    place[found] = np.arange(len(found))
    return found, place[numbers]


def distinct(sizes: Sizes) -> dict[str, np.ndarray]:
    """Return each size once."""
    first, _ = first_of_each(sizes)
    return {extent: values[first] for extent, values in sizes.items()}


def joined(sizes: Sizes, more: Sizes) -> dict[str, np.ndarray]:
    """Return two arrays of the same extents, one behind the other."""
    return {extent: np.concatenate([values, more[extent]]) for extent, values in sizes.items()}
