"""What an operator costs more because its code was evicted from the caches since it ran last.

    extra seconds = shared(what passed since the operator before it)
                    + own of the operator * share(what passed since its last call)

Data evicts code, by the different bytes of it, and so do products, with whoever shares the core or
the caches, by the time that passes. The one that evicts more counts. Both are measured
(`condsim.calibrate.evicted_code`): a buffer is read once between two calls of an operator, or
products run for some milliseconds. The calls of an operator are taken to be spread evenly over a
step, but in a training step (`condsim.cost.cpu.played_code`). Memory that is freed is used again,
so that no more bytes can be different than a step has in all. A pair's other side, which runs
between two steps, is taken to evict nothing: it runs mostly the same code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from condsim.cost.cpu.code_locality import code_key
from condsim.hardware import HardwareProfile


@dataclass(frozen=True)
class Passed:
    """What passes since some call; numbers, or arrays [n] or [codes, n].

    data_bytes: different bytes that this process touches. seconds: that it takes.
    """

    data_bytes: Any
    seconds: Any


@dataclass(frozen=True)
class StepPasses:
    """What a step passes in all; numbers or arrays [n].

    touched_bytes: one operator after the other. different_bytes: those of them that are different.
    seconds: that its operators take.
    """

    touched_bytes: Any
    different_bytes: Any
    seconds: Any

    def between(self, calls: Any) -> Passed:
        """Return what passes between two calls that are spread evenly.

        calls: how many there are in a step, number or array [n], or [codes, n].
        """
        at_least_one = np.maximum(calls, 1)
        touched = np.asarray(self.touched_bytes) / at_least_one
        seconds = np.asarray(self.seconds) / at_least_one
        return Passed(np.minimum(touched, self.different_bytes), seconds)


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
    step: StepPasses,
    profile: HardwareProfile,
) -> Any:
    """Extra seconds of each call; numbers or arrays [n], or [codes, n] for several.

    code: of `code_of`. calls: how often it runs in a step; all_calls: all operators together.
    Returns 0 without a calibration.
    """
    cold = profile.cold
    if cold is None:
        return 0.0 * np.asarray(step.touched_bytes)
    own_s = own_code_seconds(code, step.between(calls), profile)
    return own_s + shared_code_seconds(step.between(all_calls), profile)


def own_code_seconds(code: str | Sequence[str], since: Passed, profile: HardwareProfile) -> Any:
    """The part of `evicted_code_seconds` that the operator's own code costs.

    since: what passed since its last call.
    """
    share = evicted_share(since, profile)
    if isinstance(code, str):
        return own_seconds([code], profile)[0] * share
    return own_seconds(code, profile)[:, None] * share


def own_seconds(codes: Sequence[str], profile: HardwareProfile) -> np.ndarray:
    """What each operator's own code costs where all of it was evicted, float [codes]."""
    cold = profile.cold
    if cold is None:
        return np.zeros(len(codes))
    return np.array([cold.own_s.get(code, cold.other_s) for code in codes])


def evicted_share(since: Passed, profile: HardwareProfile) -> Any:
    """The share of `own_seconds` that a call costs, shaped as `since`: 0 without a calibration."""
    cold = profile.cold
    if cold is None:
        return 0.0 * since.data_bytes
    by_data = _interpolated(since.data_bytes, cold.distance, cold.share)
    by_products = _interpolated(since.seconds, cold.products_s, cold.share_after_products)
    return np.maximum(by_data, by_products)


def shared_code_seconds(since: Passed, profile: HardwareProfile) -> Any:
    """The part of `evicted_code_seconds` that any operator costs more.

    since: what passed since the operator before it.
    """
    cold = profile.cold
    if cold is None:
        return 0.0 * since.data_bytes
    by_data_s = _interpolated(since.data_bytes, cold.distance, cold.shared_s)
    by_products_s = _interpolated(since.seconds, cold.products_s, cold.shared_after_products_s)
    return np.maximum(by_data_s, by_products_s)


def _interpolated(passed: Any, at: list[float], values: list[float]) -> Any:
    """The value where so much passed, 0 where nothing did. values: one for each of `at`."""
    return np.interp(passed, [0.0, *at], [0.0, *values])
