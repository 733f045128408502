"""What a weight costs more when it was evicted since its last use.

    extra seconds = weight bytes * penalty(bytes of a row, bytes touched since the last use)

The penalty is additive: it comes on top of the time with the weight resident. It was measured by
cyclic visits of weights whose rows are 1 to 8 KiB long, for one row of the product and for more. A
processor fetches ahead along a row, and waits for memory where the next one begins: of a weight
with 256 columns a byte costs three times as much as with 1,024, however large the weight is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from condsim.cost.cpu.tables import between, locate
from condsim.hardware import HardwareProfile, Residency


@dataclass(frozen=True)
class Weight:
    """Weights as a product visits them.

    bytes: of the weight. row_bytes: of one of its rows, which belongs to one output of the product.
    rows: of the product. Numbers, or arrays [n] each.
    """

    bytes: Any
    row_bytes: Any
    rows: Any = 1


def miss_seconds(weight: Weight, distance_bytes: Any, profile: HardwareProfile) -> Any:
    """Extra seconds of a visit to a weight.

    distance_bytes: int or array [n], bytes touched since the weight's last use, its own included
    (inf: never used before). Returns float or float array [n], 0 where the profile has no residency
    curve (its operator times are then those from the largest memory). Not true for a weight that
    another core keeps in a shared cache.
    """
    residency = profile.residency
    if residency is None:
        return _nothing(weight.bytes, distance_bytes)
    return weight.bytes * miss_per_byte(residency, weight, distance_bytes)


def miss_spread_seconds(weight_bytes: Any, distance_bytes: Any, profile: HardwareProfile) -> Any:
    """One standard deviation of `miss_seconds`.

    Repeats differ most where some of the weights are evicted.
    """
    residency = profile.residency
    if residency is None:
        return _nothing(weight_bytes, distance_bytes)
    return weight_bytes * np.interp(distance_bytes, residency.distance, residency.spread)


def _nothing(weight_bytes: Any, distance_bytes: Any) -> Any:
    """0 in the shape of both; the distance may be infinite."""
    return 0.0 * (weight_bytes + np.minimum(distance_bytes, 0))


def miss_per_byte(residency: Residency, weight: Weight, distance_bytes: Any) -> Any:
    """Extra seconds a byte; arguments as in `miss_seconds`.

    A weight that fits the private cache also loses what it had there. One that does not was evicted
    by itself when it was repeated alone: its hot time has that in it already.
    """
    size = np.asarray(weight.bytes, float)
    evicted = _evicted_per_byte(residency, weight, distance_bytes)
    too_large = size > residency.limit_bytes
    if not too_large.any():
        return evicted
    evicted_by_itself = _evicted_per_byte(residency, weight, size)
    in_hot_time = np.where(too_large, evicted_by_itself, 0.0)
    return np.maximum(evicted - in_hot_time, 0.0)


def evicted_curves(residency: Residency, weights: Weight) -> np.ndarray:
    """Seconds a byte of weights at each measured distance, float [n, distances].

    weights: bytes, row_bytes and rows of each, float [n]. Between the rows that were timed by the
    logarithm of their length; a calibration that kept no lengths is read by the weights' sizes.
    """
    length, timed = weights.row_bytes, residency.row_bytes
    if not timed:
        length, timed = weights.bytes, residency.bytes
    log_length = np.log(np.maximum(length, 1.0))
    places = np.arange(len(timed))
    place = np.interp(log_length, np.log(timed), places)
    below = place.astype(int)
    above = np.minimum(below + 1, places[-1])
    curves = np.array([residency.one_row, residency.more_rows])
    more_rows = (weights.rows > 1).astype(int)
    share = (place - below)[:, None]
    return between(curves[more_rows, below], curves[more_rows, above], share)


def _evicted_per_byte(residency: Residency, weight: Weight, distance_bytes: Any) -> Any:
    """Seconds a byte; arguments as in `miss_seconds`."""
    of_weight = [np.asarray(value, float) for value in (weight.bytes, weight.row_bytes)]
    columns = (*of_weight, np.asarray(weight.rows), np.asarray(distance_bytes, float))
    size, row_bytes, rows, distance = np.broadcast_arrays(*columns)
    curves = evicted_curves(residency, Weight(size.ravel(), row_bytes.ravel(), rows.ravel()))
    cell, fraction = locate(np.array(residency.distance), distance.ravel())
    every = np.arange(len(cell))
    per_byte = between(curves[every, cell], curves[every, cell + 1], fraction)
    return per_byte.reshape(size.shape)
