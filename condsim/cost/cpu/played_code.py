"""Code that is evicted between two calls of it, where the order of calls says what lies between.

`condsim.cost.cpu.evicted_code` takes the calls of an operator to be spread evenly over a step. A
training step is not like that: an optimizer runs its operators weight by weight, one right after
the other, and looped experts write gradients as large as all experts between short operators. What
evicts code grows with the bytes that passed less than in proportion, so that calls which lie close
together lose less than evenly spread ones. Here each call counts what passed since the one before.

    extra seconds = shared(what the operator before it passed)
                    + own of the operator * share(what the others passed since its last call)

The first call of a step follows the last one of the same step.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from condsim.cost.cpu.evicted_code import Passed, own_code_seconds, shared_code_seconds
from condsim.hardware import HardwareProfile


@dataclass(frozen=True)
class PlayedCalls:
    """The calls of steps that run the same operators, in executed order.

    code: the number of each call's machine code, int [calls]. data_bytes: that each passes through
    the caches; seconds: that each takes; float [calls], or [steps, calls]. different_bytes: that a
    step touches, a number or float [steps, 1].
    """

    code: np.ndarray
    data_bytes: np.ndarray
    seconds: np.ndarray
    different_bytes: Any

    def before(self) -> Passed:
        """Return what the operator before each call passed, shaped as `data_bytes`."""
        return self._passed(_rolled(self.data_bytes), _rolled(self.seconds))

    def since(self, code: int) -> Passed:
        """Return what others passed since the last call of a code, for each of its calls."""
        places = np.flatnonzero(self.code == code)
        data_bytes = _between(self.data_bytes, places)
        return self._passed(data_bytes, _between(self.seconds, places))

    def _passed(self, data_bytes: np.ndarray, seconds: np.ndarray) -> Passed:
        return Passed(np.minimum(data_bytes, self.different_bytes), seconds)


def played_code_seconds(
    calls: PlayedCalls, codes: list[str], profile: HardwareProfile
) -> np.ndarray:
    """Return what a call of each code costs more, the mean of its calls, float [codes], or
    [codes, steps].

    codes: the machine code of each number. Returns 0 for one that is not called.
    """
    shape = calls.data_bytes.shape
    shared_s = np.broadcast_to(shared_code_seconds(calls.before(), profile), shape)
    each_s = np.zeros((len(codes), *shape[:-1]))
    for number, code in enumerate(codes):
        is_called = calls.code == number
        if code and is_called.any():
            own_s = own_code_seconds(code, calls.since(number), profile)
            each_s[number] = np.mean(own_s + shared_s[..., is_called], axis=-1)
    return each_s


def _rolled(values: np.ndarray) -> np.ndarray:
    """What stands before each call; before the first one, what stands last."""
    return np.roll(values, 1, axis=-1)


def _between(values: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The sum of what lies between each of some places and the one before, float [..., places].

    Before the first one lies what follows the last.
    """
    until = np.zeros((*values.shape[:-1], values.shape[-1] + 1))
    np.cumsum(values, axis=-1, out=until[..., 1:])
    before = np.roll(places, 1)
    between: np.ndarray = until[..., places] - until[..., before + 1]
    between[..., 0] += until[..., -1]
    return between
