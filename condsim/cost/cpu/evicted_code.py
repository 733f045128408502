"""What an operator costs more because data was touched since: its code was evicted from the caches.

    extra seconds = shared(bytes that the operator before it touched)
                    + own of the operator * share(different bytes touched since its last call)

A tiny operator of 6 µs was seen to take 60 µs after 16 MB of other data. Measured by reading a
buffer between calls of all operators in turn. The calls of an operator are taken to be spread
evenly over a step. Memory that is freed is used again, so that no more bytes can be different than
a step has in all. Where something else runs between two steps (a pair's other side), the first call
of each operator follows what that touched.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from condsim.cost.cpu.code_locality import code_key
from condsim.hardware import HardwareProfile


def code_of(name: str, view: bool, inputs: int, profile: HardwareProfile) -> str:
    """The code that an operator runs, of those whose cost after other data was measured.

    Arguments as in `code_key`. "" without a calibration.
    """
    if profile.cold is None:
        return ""
    return code_key(profile.cold.own_s, name, view, inputs)


def evicted_code_seconds(
    code: str | Sequence[str],
    calls: Any,
    all_calls: Any,
    touched_bytes: Any,
    different_bytes: Any,
    profile: HardwareProfile,
) -> Any:
    """Extra seconds of each call; numbers or arrays [n], or [codes, n] for several.

    code: of `code_of`. calls: how often it runs in a step; all_calls: all operators together.
    touched_bytes: by a step, one operator after the other. different_bytes: those of them that are
    different. Returns 0 without a calibration.
    """
    cold = profile.cold
    if cold is None:
        return 0.0 * touched_bytes
    touched = np.asarray(touched_bytes)
    by_one_operator = np.minimum(touched / np.maximum(all_calls, 1), different_bytes)
    since_last_call = np.minimum(touched / np.maximum(calls, 1), different_bytes)
    shared_s = _interpolated(by_one_operator, cold.distance, cold.shared_s)
    return own_code_seconds(code, since_last_call, profile) + shared_s


def own_code_seconds(code: str | Sequence[str], since_bytes: Any, profile: HardwareProfile) -> Any:
    """The part of `evicted_code_seconds` that the operator's own code costs.

    since_bytes: different bytes touched since its last call, number or array [n], or [codes, n].
    """
    cold = profile.cold
    if cold is None:
        return 0.0 * since_bytes
    share = _interpolated(since_bytes, cold.distance, cold.share)
    if isinstance(code, str):
        return cold.own_s.get(code, cold.other_s) * share
    own_s = [cold.own_s.get(name, cold.other_s) for name in code]
    return np.array(own_s)[:, None] * share


def _interpolated(touched_bytes: Any, distance: list[float], values: list[float]) -> Any:
    """The value at a distance, 0 where nothing was touched. values: one a distance."""
    return np.interp(touched_bytes, [0.0, *distance], [0.0, *values])
