"""What the advisor says."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from condsim.decide.advise.call import Call
from condsim.decide.coverage.coverage import Coverage
from condsim.predict.verdict import FASTER, PAYS
from condsim.study.answer import Answer


@dataclass(frozen=True)
class Advice:
    """The verdict on one scenario, with its evidence.

    subject: what it is about. load: name of the scenario, "as asked" for one of its own.
    why: effects in seconds a step (`condsim.decide.advise.why`). changes, biggest: what single
    changes give, and the one that gains most (`changes`). flips: where the verdict changes
    (`flips`). rests_on: which numbers move the speedup most (`basis.sensitivity`); empty where that
    is not known. not_seen: what the routing has not been tested on; None where it is drawn.
    verify: commands that measure the same. notes: of the scenario and the prediction.
    """

    subject: str
    load: str
    call: Call
    answer: Answer
    why: pd.DataFrame
    changes: pd.DataFrame
    biggest: Mapping[str, Any] | None
    flips: pd.DataFrame
    rests_on: pd.DataFrame
    not_seen: Coverage | None
    verify: tuple[str, ...]
    notes: tuple[str, ...] = field(default_factory=tuple)

    @property
    def says(self) -> str:
        """ "pays", "does not pay", "too close to call" or "cannot say"."""
        return PAYS[self.call.verdict]

    def meets(self, threshold: float) -> bool:
        """Return whether a speedup is reached, by the interval that decides."""
        return self.call.verdict == FASTER and self.call.low >= threshold

    def to_dict(self) -> dict[str, Any]:
        """Return plain values in SI units, for JSON."""
        p = self.answer.prediction
        return {
            "subject": self.subject,
            "scenario": self.load,
            "verdict": self.call.verdict,
            "says": self.says,
            "reason": self.call.reason,
            "threshold": self.call.threshold,
            "speedup": self.call.speedup,
            "interval": [self.call.low, self.call.high],
            "basis": self.call.basis,
            "why": _rows(self.why),
            "biggest": None if self.biggest is None else _plain(self.biggest),
            "changes": _rows(self.changes),
            "flips": _rows(self.flips),
            "rests_on": {"shares": dict(p.estimated), "moves": _rows(self.rests_on)},
            "not_seen": None if self.not_seen is None else self.not_seen.in_short(),
            "verify": list(self.verify),
            "notes": list(self.notes),
            "answer": self.answer.to_dict(),
        }


def _rows(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [_plain(row) for row in table.to_dict("records")]


def _plain(row: Mapping[Any, Any]) -> dict[str, Any]:
    """A row without what is missing in it."""
    return {str(name): value for name, value in row.items() if not _missing(value)}


def _missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))
