"""What a weight costs more when it was evicted since its last use.

    extra seconds = weight bytes * penalty(bytes touched since the last use)

The penalty is additive: it comes on top of the time with the weight resident. It was measured by
cyclic visits, for a few sizes of weights and for one row and more: a matrix-vector kernel streams a
weight, a matrix kernel takes it in tiles and waits longer for each byte.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from condsim.cost.cpu.tables import between, locate
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


def evicted_curves(residency: Residency, weight_bytes: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Seconds a byte of weights at each measured distance, float [n, distances].

    weight_bytes, rows: of each, [n]. Between the weights that were timed by the logarithm of their
    size.
    """
    log_bytes = np.log(np.maximum(weight_bytes, 1.0))
    timed = np.arange(len(residency.bytes))
    place = np.interp(log_bytes, np.log(residency.bytes), timed)
    below = place.astype(int)
    above = np.minimum(below + 1, timed[-1])
    curves = np.array([residency.one_row, residency.more_rows])
    more_rows = (rows > 1).astype(int)
    share = (place - below)[:, None]
    return between(curves[more_rows, below], curves[more_rows, above], share)


def _evicted_per_byte(
    residency: Residency, weight_bytes: np.ndarray, distance_bytes: Any, rows: Any
) -> Any:
    """Seconds a byte; arguments as in `miss_seconds`."""
    columns = (weight_bytes, np.asarray(distance_bytes, float), np.asarray(rows))
    size, distance, of_rows = np.broadcast_arrays(*columns)
    curves = evicted_curves(residency, size.ravel(), of_rows.ravel())
    cell, fraction = locate(np.array(residency.distance), distance.ravel())
    every = np.arange(len(cell))
    per_byte = between(curves[every, cell], curves[every, cell + 1], fraction)
    return per_byte.reshape(size.shape)
