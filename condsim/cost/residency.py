"""What a weight costs more when it was evicted since its last use.

    extra seconds = weight bytes * penalty(bytes touched since the last use)

The penalty is additive: it comes on top of the time with the weight resident, whatever the number of rows. It was measured by cyclic visits.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from condsim.hardware import HardwareProfile, Residency


def miss_seconds(weight_bytes: Any, distance_bytes: Any, profile: HardwareProfile) -> Any:
    """Extra seconds of a visit to a weight.

    weight_bytes: int or array [n]; distance_bytes: int or array [n], bytes touched since its last use, its own included (inf: never used before).
    Returns float or float array [n], 0 where the profile has no residency curve (its operator times are then those from the largest memory).
    Not true for a weight that another core keeps in a shared cache.
    """
    r = profile.residency
    if r is None:
        return 0.0 * (weight_bytes + np.minimum(distance_bytes, 0))
    return weight_bytes * miss_per_byte(r, weight_bytes, distance_bytes)


def miss_per_byte(r: Residency, weight_bytes: Any, distance_bytes: Any) -> Any:
    """Extra seconds a byte; arguments as in `miss_seconds`. A weight that fits the private cache also loses what it had there.

    A weight that is repeated alone was evicted by itself where it is as large as that: its hot time has that in it already.
    """
    own = np.where(np.asarray(weight_bytes) > r.limit_bytes, np.interp(weight_bytes, r.distance, r.large), 0.0)
    return np.maximum(_per_byte(r, weight_bytes, distance_bytes) - own, 0.0)


def _per_byte(r: Residency, weight_bytes: Any, distance_bytes: Any) -> Any:
    fits = np.asarray(weight_bytes) <= r.limit_bytes
    if fits.all():
        return np.interp(distance_bytes, r.distance, r.small)
    large = np.interp(distance_bytes, r.distance, r.large)
    return np.where(fits, np.interp(distance_bytes, r.distance, r.small), large) if fits.any() else large


def miss_spread_seconds(weight_bytes: Any, distance_bytes: Any, profile: HardwareProfile) -> Any:
    """One standard deviation of `miss_seconds`, the same arguments: repeats differ most where some of the weights are evicted."""
    r = profile.residency
    if r is None:
        return 0.0 * (weight_bytes + np.minimum(distance_bytes, 0))
    return weight_bytes * np.interp(distance_bytes, r.distance, r.spread)
