"""Columns of the tables that a trace carries beside its decisions, and what may stand in them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd

from condsim.errors import CondsimError, shown
from condsim.untrusted import check_text

MOST_STEPS = 4_000_000
"""Rows of the table of steps."""
MOST_MEASURED = 4_000_000
"""Rows of a table of measurements, of segments or of quality."""
MOST_EXTENT = 1 << 31
"""Of units in a step, and of positions of a unit."""


NUMBERS = {"whole": "whole numbers", "number": "numbers"}
"""Kinds of numbers in words."""


@dataclass(frozen=True)
class Column:
    """What stands in a column.

    kind: texts, whole numbers, finite numbers, or flags (bool). least, most: of a number, both
    allowed. optional: the column, or values in it, may be missing.
    """

    kind: Literal["text", "whole", "number", "flag"]
    least: float = -math.inf
    most: float = math.inf
    optional: bool = False

    def check(self, values: pd.Series) -> None:
        """Raises ValueError for a value that may not stand in the column."""
        missing = values.isna()
        if missing.any():
            if not self.optional:
                raise ValueError(f"row {int(missing.argmax())} has none")
            values = values[~missing]
        if not len(values):
            return
        if self.kind == "text":
            _check_texts(values)
        elif self.kind == "flag":
            if values.dtype != bool:
                raise ValueError(f"must be true or false, is {values.dtype}")
        else:
            self._check_numbers(values)

    def _check_numbers(self, values: pd.Series) -> None:
        kinds = "iuf" if self.kind == "number" or self.optional else "iu"
        if not isinstance(values.dtype, np.dtype) or values.dtype.kind not in kinds:
            raise ValueError(f"must be {NUMBERS[self.kind]}, is {values.dtype}")
        numbers = values.to_numpy()
        lowest, highest = numbers.min(), numbers.max()
        if not (np.isfinite(lowest) and np.isfinite(highest)):
            raise ValueError("must be finite")
        if lowest < self.least or highest > self.most:
            worst = lowest if lowest < self.least else highest
            raise ValueError(f"must be from {self.least:g} to {self.most:g}, got {worst:g}")
        if self.kind == "whole" and numbers.dtype.kind == "f" and (numbers % 1 != 0).any():
            raise ValueError("must be whole numbers")


def _check_texts(values: pd.Series) -> None:
    for text in values.unique():
        if not isinstance(text, str):
            raise ValueError(f"must be texts, got {shown(text)}")
        check_text(text)


def check_table(table: pd.DataFrame, columns: Mapping[str, Column], where: object) -> None:
    """Raises CondsimError where a table lacks a column, or one holds what it may not.

    where: what the table is, for the error.
    """
    required = [name for name, column in columns.items() if not column.optional]
    missing = [name for name in required if name not in table]
    if missing:
        raise CondsimError(
            f"{where} has no column {', '.join(missing)}; the trace is damaged, capture it again"
        )
    for name, column in columns.items():
        if name not in table:
            continue
        try:
            column.check(table[name])
        except ValueError as error:
            raise CondsimError(f"{where}: column {name}: {error}") from None


TEXT = Column("text")
COUNT = Column("whole", 1, MOST_EXTENT)
NUMBERED = Column("whole", 0, MOST_EXTENT)
SECONDS = Column("number", 1e-12, 1e9)


def _maybe(column: Column) -> Column:
    return replace(column, optional=True)


SOURCE = "source"
"""The column of steps that says how many positions an encoder has read, of those before too."""
TRAINED = "trained"
"""The column of steps that says how many training steps the model had had."""
STEPS: Mapping[str, Column] = {
    "phase": TEXT,
    "units": COUNT,
    "seq": COUNT,
    "past": NUMBERED,
    TRAINED: _maybe(NUMBERED),
    SOURCE: _maybe(NUMBERED),
}
"""A row a captured step: its phase, units, positions of each unit, and positions before them; in a
history of a training the steps of it before; of an encoder-decoder the positions of its source."""
STEP_COLUMNS = [name for name, column in STEPS.items() if not column.optional]
"""Those that every trace has, in their order."""

MEASURED: Mapping[str, Column] = {
    "strategy": TEXT,
    "baseline": TEXT,
    "phase": TEXT,
    "batch": COUNT,
    "protocol": _maybe(TEXT),
    "runtime": _maybe(TEXT),
    "dtype": _maybe(TEXT),
    "threads": _maybe(NUMBERED),
    "process": _maybe(NUMBERED),
    "pair": _maybe(NUMBERED),
    "step": NUMBERED,
    "repetitions": _maybe(NUMBERED),
    "conditional_s": SECONDS,
    "baseline_s": SECONDS,
    "clock": _maybe(TEXT),
    "yardstick_s": _maybe(Column("number", 0, 1e9)),
    "fingerprint": TEXT,
    "where": _maybe(TEXT),
    "torch": _maybe(TEXT),
    "taken": _maybe(TEXT),
    "yardstick_ratio": _maybe(Column("number", 0, 1e9)),
}
"""A row a timed pair. Older versions of condsim have not written the optional columns."""

TIMED_PARTS: Mapping[str, Column] = {
    "strategy": TEXT,
    "baseline": TEXT,
    "phase": TEXT,
    "batch": COUNT,
    "protocol": TEXT,
    "runtime": TEXT,
    "dtype": TEXT,
    "threads": NUMBERED,
    "process": NUMBERED,
    "step": NUMBERED,
    "side": TEXT,
    "segment": TEXT,
    "operator": TEXT,
    "calls": COUNT,
    "seconds": Column("number", -1e9, 1e9),
    "profiler_s": Column("number", -1e9, 1e9),
    "whole_s": SECONDS,
    "repetitions": NUMBERED,
    "quiet": Column("flag"),
    "fingerprint": TEXT,
    "where": TEXT,
    "torch": TEXT,
    "taken": TEXT,
}
"""A row a process, step, side, segment and operator (`condsim.measure.segments`).

What the profiler costs is taken off the seconds, so that those of a small operator may be negative.
"""

MEASUREMENTS = tuple(MEASURED)
SEGMENTS = tuple(TIMED_PARTS)
