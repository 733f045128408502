"""What a weight costs more when it was evicted since its last use.

    extra seconds = weight bytes * penalty(bytes touched since the last use)

The penalty is additive: it comes on top of the time with the weight resident. It was measured by
cyclic visits, for a few sizes of weights and for one row and more: a matrix-vector kernel streams a
weight, a matrix kernel takes it in tiles and waits longer for each byte.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from condsim.hardware import HardwareProfile, Residency


def miss_seconds(
    weight_bytes: Any, distance_bytes: Any, profile: HardwareProfile, rows: Any = 1
) -> Any:
    """Extra seconds of a visit to a weight.

    weight_bytes: int or array [n]. distance_bytes: int or array [n], bytes touched since the
    weight's last use, its own included (inf: never used before). rows: of the product, int or array
    [n]. Returns float or float array [n], 0 where the profile has no residency curve (its operator
    times are then those from the largest memory). Not true for a weight that another core keeps in
    a shared cache.
    """
    residency = profile.residency
    if residency is None:
        return _nothing(weight_bytes, distance_bytes)
    return weight_bytes * miss_per_byte(residency, weight_bytes, distance_bytes, rows)


def miss_spread_seconds(weight_bytes: Any, distance_bytes: Any, profile: HardwareProfile) -> Any:
    """One standard deviation of `miss_seconds`, of the same arguments.

    Repeats differ most where some of the weights are evicted.
    """
    residency = profile.residency
    if residency is None:
        return _nothing(weight_bytes, distance_bytes)
    return weight_bytes * np.interp(distance_bytes, residency.distance, residency.spread)


def _nothing(weight_bytes: Any, distance_bytes: Any) -> Any:
    """0 in the shape of both; the distance may be infinite."""
    return 0.0 * (weight_bytes + np.minimum(distance_bytes, 0))


def miss_per_byte(
    residency: Residency, weight_bytes: Any, distance_bytes: Any, rows: Any = 1
) -> Any:
    """Extra seconds a byte; arguments as in `miss_seconds`.

    A weight that fits the private cache also loses what it had there. One that does not was evicted
    by itself when it was repeated alone: its hot time has that in it already.
    """
    size = np.asarray(weight_bytes, float)
    evicted = _evicted_per_byte(residency, size, distance_bytes, rows)
    too_large = size > residency.limit_bytes
    if not too_large.any():
        return evicted
    evicted_by_itself = _evicted_per_byte(residency, size, size, rows)
    in_hot_time = np.where(too_large, evicted_by_itself, 0.0)
    return np.maximum(evicted - in_hot_time, 0.0)


def _evicted_per_byte(
    residency: Residency, weight_bytes: np.ndarray, distance_bytes: Any, rows: Any
) -> Any:
    """Seconds a byte, between the weights that were timed by the logarithm of their size."""
    log_bytes = np.log(np.maximum(_one_if_equal(weight_bytes), 1.0))
    timed = np.arange(len(residency.bytes))
    place = np.interp(log_bytes, np.log(residency.bytes), timed)
    more_rows = _one_if_equal(np.asarray(rows) > 1)
    if np.ndim(place) == 0 and np.ndim(more_rows) == 0:
        curves = residency.more_rows if more_rows else residency.one_row
        return _of_one_size(residency, curves, float(place), distance_bytes)
    more_rows = np.asarray(more_rows)
    if np.ndim(place) == 0 and np.ndim(distance_bytes) == 1:
        return _of_one_size_by_rows(residency, float(place), distance_bytes, more_rows)
    per_byte: Any = 0.0
    for curves, chosen in ((residency.one_row, ~more_rows), (residency.more_rows, more_rows)):
        if chosen.any():
            by_size = _of_sizes(residency, curves, place, distance_bytes)
            per_byte = per_byte + np.where(chosen, by_size, 0.0)
    return per_byte


def _of_one_size(
    residency: Residency, curves: list[list[float]], place: float, distance_bytes: Any
) -> Any:
    """Seconds a byte of weights of one size.

    curves: seconds a byte by weight and distance. place: of the size among the weights that were
    timed, 1.5 = halfway between the second and the third.
    """
    last = len(curves) - 1
    below = min(int(place), max(last - 1, 0))
    above = min(below + 1, last)
    smaller = np.array(curves[below])
    larger = np.array(curves[above])
    curve = smaller + (place - below) * (larger - smaller)
    return np.interp(distance_bytes, residency.distance, curve)


def _of_one_size_by_rows(
    residency: Residency, place: float, distance_bytes: np.ndarray, more_rows: np.ndarray
) -> np.ndarray:
    """Seconds a byte of weights of one size; as `_of_one_size`, by visit.

    more_rows: whether the product has more than one row, bool [n].
    """
    per_byte = np.empty(len(distance_bytes))
    for curves, chosen in ((residency.one_row, ~more_rows), (residency.more_rows, more_rows)):
        per_byte[chosen] = _of_one_size(residency, curves, place, distance_bytes[chosen])
    return per_byte


def _of_sizes(
    residency: Residency, curves: list[list[float]], place: Any, distance_bytes: Any
) -> Any:
    """Seconds a byte of weights of several sizes; as `_of_one_size`, place an array."""
    per_byte: Any = 0
    for number, curve in enumerate(curves):
        share = np.maximum(1.0 - np.abs(place - number), 0.0)
        of_size = np.interp(distance_bytes, residency.distance, curve)
        per_byte = per_byte + share * of_size
    return per_byte


def _one_if_equal(values: np.ndarray) -> Any:
    """The number that all values of an array are, else the array."""
    if values.size and values.min() == values.max():
        return values.flat[0]
    return values
