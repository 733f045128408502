"""Regimes: the kinds of step that each have a program of their own.

Batch 1 has another operator stream than batch 2, and so have prefill and decode; a program is never
used for another regime than its own.
"""

from __future__ import annotations

from dataclasses import dataclass

PREFILL = "prefill"
DECODE = "decode"


@dataclass(frozen=True)
class Regime:
    """One kind of step.

    phase: "prefill" (whole inputs) or "decode" (one more token a sequence, with a cache).
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
        if phase not in (PREFILL, DECODE) or batch not in ("1", "n"):
            raise ValueError(f"regime must be PHASE-1 or PHASE-n, got {name!r}")
        return cls(phase, batch == "1")

    @property
    def decodes(self) -> bool:
        """Whether a step is one token a sequence after a prefix."""
        return self.phase == DECODE

    def __str__(self) -> str:
        """The name as traces store it: "prefill-1", "prefill-n", "decode-1" or "decode-n"."""
        return f"{self.phase}-{'1' if self.single else 'n'}"
