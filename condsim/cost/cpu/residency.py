"""What a weight costs more when it was evicted since its last use.

    extra seconds = weight bytes * penalty(bytes touched since the last use)

The penalty is additive: it comes on top of the time with the weight resident. It was measured by cyclic visits, for a few sizes of weights and for one row
and more: a matrix-vector kernel streams a weight, a matrix kernel takes it in tiles and waits longer for each byte.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from condsim.hardware import HardwareProfile, Residency


def miss_seconds(
    weight_bytes: Any, distance_bytes: Any, profile: HardwareProfile, rows: Any = 1
) -> Any:
    """Extra seconds of a visit to a weight.

    weight_bytes: int or array [n]; distance_bytes: int or array [n], bytes touched since its last use, its own included (inf: never used before); rows: of
    the product, int or array [n]. Returns float or float array [n], 0 where the profile has no residency curve (its operator times are then those from the
    largest memory). Not true for a weight that another core keeps in a shared cache.
    """
    r = profile.residency
    if r is None:
        return 0.0 * (weight_bytes + np.minimum(distance_bytes, 0))
    return weight_bytes * miss_per_byte(r, weight_bytes, distance_bytes, rows)


def miss_per_byte(r: Residency, weight_bytes: Any, distance_bytes: Any, rows: Any = 1) -> Any:
    """Extra seconds a byte; arguments as in `miss_seconds`. A weight that fits the private cache also loses what it had there.

    A weight that is repeated alone was evicted by itself where it is as large as that: its hot time has that in it already.
    """
    w = np.asarray(weight_bytes, float)
    gone = _per_byte(r, w, distance_bytes, rows)
    if not (w > r.limit_bytes).any():
        return gone
    return np.maximum(gone - np.where(w > r.limit_bytes, _per_byte(r, w, w, rows), 0.0), 0.0)


def _per_byte(r: Residency, weight_bytes: np.ndarray, distance_bytes: Any, rows: Any) -> Any:
    """Between the weights that were timed by the logarithm of their size."""
    place = np.interp(
        np.log(np.maximum(_one(weight_bytes), 1.0)), np.log(r.bytes), np.arange(len(r.bytes))
    )
    more = _one(np.asarray(rows) > 1)
    if (
        np.ndim(place) == 0 and np.ndim(more) == 0
    ):  # a weight of one size in one kind of product: its own curve
        i = min(int(place), len(r.bytes) - 2) if len(r.bytes) > 1 else 0
        curves = np.array((r.more_rows if more else r.one_row)[i : i + 2])
        return np.interp(
            distance_bytes, r.distance, curves[0] + (place - i) * (curves[-1] - curves[0])
        )
    found: Any = 0.0
    for table, chosen in ((r.one_row, ~np.asarray(more)), (r.more_rows, np.asarray(more))):
        if chosen.any():
            sizes = (
                np.maximum(1.0 - np.abs(place - i), 0.0)
                * np.interp(distance_bytes, r.distance, curve)
                for i, curve in enumerate(table)
            )
            found = found + np.where(chosen, sum(sizes), 0.0)
    return found


def _one(values: np.ndarray) -> Any:
    """The number that all of an array are, else the array."""
    return values.flat[0] if values.size and values.min() == values.max() else values


def miss_spread_seconds(weight_bytes: Any, distance_bytes: Any, profile: HardwareProfile) -> Any:
    """One standard deviation of `miss_seconds`, the same arguments: repeats differ most where some of the weights are evicted."""
    r = profile.residency
    if r is None:
        return 0.0 * (weight_bytes + np.minimum(distance_bytes, 0))
    return weight_bytes * np.interp(distance_bytes, r.distance, r.spread)
