"""Regimes: the kinds of step that each have a program of their own.

Batch 1 has another operator stream than batch 2, and so have prefill, decode and training; a
program is never used for another regime than its own.
"""

from __future__ import annotations

from dataclasses import dataclass

PREFILL = "prefill"
DECODE = "decode"
TRAIN = "train"
PHASES = (PREFILL, DECODE, TRAIN)
"""All phases that a step can be of."""


@dataclass(frozen=True)
class Regime:
    """One kind of step.

    phase: "prefill" (whole inputs), "decode" (one more token a sequence, with a cache) or "train"
        (forward, backward and optimizer of whole inputs).
    single: whether the batch is one unit.
    """

    phase: str
    single: bool

    @classmethod
    def of_batch(cls, phase: str, batch: int) -> Regime:
        """The regime of a step of `batch` units."""
        return cls(phase, batch == 1)

    @classmethod
    def parse(cls, name: str) -> Regime:
        """The regime of a stored name. Raises ValueError for any other string."""
        phase, _, batch = name.rpartition("-")
        if phase not in PHASES or batch not in ("1", "n"):
            raise ValueError(f"regime must be PHASE-1 or PHASE-n, got {name!r}")
        return cls(phase, batch == "1")

    @property
    def decodes(self) -> bool:
        """Whether a step is one token a sequence after a prefix."""
        return self.phase == DECODE

    @property
    def trains(self) -> bool:
        """Whether a step is forward, backward and optimizer."""
        return self.phase == TRAIN

    def __str__(self) -> str:
        """The name as traces store it: the phase, and "1" or "n" units, as "prefill-n"."""
        return f"{self.phase}-{'1' if self.single else 'n'}"
