"""Which steps of a trace go on with the same sequences, and what a sequence did in those before."""

from __future__ import annotations

import numpy as np

from condsim.program.regime import DECODE
from condsim.trace import Trace


def sequence_of_units(trace: Trace) -> tuple[np.ndarray, int]:
    """Return (sequence of each unit-step, int [unit-steps]; sequences).

    A unit of a prefill step is a sequence, and goes on in the decode steps of as many units that
    follow it and begin where the step before ended.
    """
    parts: list[np.ndarray] = []
    expected: tuple[int, int] | None = None  # (units, past) of a step that would go on
    first = count = 0
    columns = (trace.steps[name].tolist() for name in ("phase", "units", "seq", "past"))
    for phase, units, seq, past in zip(*columns, strict=True):
        if phase != DECODE or (units, past) != expected:
            first = count
            count += units
        parts.append(first + np.arange(units))
        expected = (units, past + seq)
    return np.concatenate(parts), count


def tokens_behind(goes_on: np.ndarray, sequence: np.ndarray) -> np.ndarray:
    """Return the tokens that each unit-step runs behind an exit, int32 [unit-steps]: the new one
    and those of its sequence that left there since it last went on; 0 where it leaves.

    goes_on: bool [unit-steps], in captured order. sequence: of each, int [unit-steps].
    """
    order = np.argsort(sequence, kind="stable")
    goes, of = goes_on[order], sequence[order]
    place = np.arange(len(order))
    starts = np.concatenate([[True], of[1:] != of[:-1]])
    clears = np.where(starts, place - 1, -1)  # the place before the first token owes nothing
    went_on_before = np.where(goes[:-1], place[:-1], -1)
    clears[1:] = np.maximum(clears[1:], went_on_before)
    last_cleared = np.maximum.accumulate(clears)
    behind = np.empty(len(order), np.int32)
    behind[order] = np.where(goes, place - last_cleared, 0)
    return behind
