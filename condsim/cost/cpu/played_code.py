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

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from condsim.cost.cpu.evicted_code import (
    Passed,
    evicted_share,
    own_seconds,
    shared_code_seconds,
)
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

    def since(self, calls: np.ndarray, last: np.ndarray) -> Passed:
        """Return what others passed between some calls and earlier ones.

        calls, last: their numbers, int [n] each. A last call that is not earlier is one of the step
        before.
        """
        data_bytes = _between(self.data_bytes, calls, last)
        return self._passed(data_bytes, _between(self.seconds, calls, last))

    def _passed(self, data_bytes: np.ndarray, seconds: np.ndarray) -> Passed:
        return Passed(np.minimum(data_bytes, self.different_bytes), seconds)


def played_code_seconds(
    calls: PlayedCalls, codes: Sequence[str], profile: HardwareProfile
) -> np.ndarray:
    """Return what a call of each code costs more, the mean of its calls, float [codes], or
    [steps, codes].

    codes: the machine code of each number; calls of higher numbers run none that costs more.
    Returns 0 for one that is not called.
    """
    shape = calls.data_bytes.shape
    shared_s = np.broadcast_to(shared_code_seconds(calls.before(), profile), shape)
    by_code, last, begins = _by_code(calls.code, len(codes))
    own_of_call_s = own_seconds(codes, profile)[calls.code[by_code]]
    own_s = own_of_call_s * evicted_share(calls.since(by_code, last), profile)
    each_s = np.zeros((*shape[:-1], len(codes)))
    if len(by_code):
        called = calls.code[by_code[begins]]
        sums = np.add.reduceat(own_s + shared_s[..., by_code], begins, axis=-1)
        each_s[..., called] = sums / np.diff(begins, append=len(by_code))
    return each_s


def _by_code(code: np.ndarray, codes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(calls, those of a code together and in order; the last call of its code before each; where
    the calls of each code begin), of the codes below a number."""
    in_order = np.argsort(code, kind="stable")
    calls = in_order[: np.count_nonzero(code < codes)]
    begins = np.flatnonzero(np.diff(code[calls], prepend=-1))
    last = np.roll(calls, 1)
    ends = np.append(begins[1:], len(calls)) - 1
    last[begins] = calls[ends]
    return calls, last, begins


def _rolled(values: np.ndarray) -> np.ndarray:
    """What stands before each call; before the first one, what stands last."""
    return np.roll(values, 1, axis=-1)


def _between(values: np.ndarray, calls: np.ndarray, last: np.ndarray) -> np.ndarray:
    """The sum of what lies between last calls and the calls that follow them, float [..., n].

    calls, last: their numbers. Between a last call that is not earlier and a call lies what follows
    the one, and what the next step does before the other.
    """
    until = np.zeros((*values.shape[:-1], values.shape[-1] + 1))
    np.cumsum(values, axis=-1, out=until[..., 1:])
    between: np.ndarray = until[..., calls] - until[..., last + 1]
    between[..., last >= calls] += until[..., -1:]
    return between
