"""Which rows of a trace are the tokens of one sequence, and what they decided."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from condsim.errors import CondsimError
from condsim.mechanisms.base import NOT_REACHED
from condsim.program.regime import DECODE
from condsim.trace import Trace

Sequences = list[np.ndarray]
"""The ids of one layer: int [positions, k] of each sequence."""


def rows_of_sequences(steps: pd.DataFrame) -> Iterator[np.ndarray]:
    """Return the numbers of the rows of sequences that run together, int [sequences, positions].

    steps: of a trace, in which every position is a row. A unit of a prefill step is a sequence, and
    goes on in the decode steps of as many units that follow it.
    """
    parts: list[np.ndarray] = []
    expected: tuple[int, int] | None = None  # (units, past) of a step that would go on
    first = 0
    columns = (steps[name].tolist() for name in ("phase", "units", "seq", "past"))
    for phase, units, seq, past in zip(*columns, strict=True):
        rows = first + np.arange(units * seq).reshape(units, seq)
        first += units * seq
        if parts and (phase != DECODE or (units, past) != expected):
            yield np.concatenate(parts, axis=1)
            parts = []
        parts.append(rows)
        expected = (units, past + seq)
    if parts:
        yield np.concatenate(parts, axis=1)


def sequences_of(trace: Trace) -> list[Sequences]:
    """Return the sequences of every layer, the same tokens in each.

    Tokens that some layer has no decision for are left out.
    Raises CondsimError where some site is no mixture of experts that sees one row a token.
    """
    ids = [_ids(trace, site.name) for site in trace.sites]
    if not ids:
        raise CondsimError(f"trace {trace.name!r} has no layers of experts")
    tokens = int((trace.steps["units"] * trace.steps["seq"]).sum())
    if any(len(of_site) != tokens for of_site in ids):
        raise CondsimError(f"the layers of trace {trace.name!r} do not see one row a token")
    kept = _rows_that_all_decide(trace, ids)
    return [_of_sequences(of_site, kept) for of_site in ids]


def _rows_that_all_decide(trace: Trace, ids: list[np.ndarray]) -> list[np.ndarray]:
    """The rows of each sequence that every layer decided; no sequence without a row.

    ids: of each layer, int [rows, k].
    """
    reached = [(of_site != NOT_REACHED).all(1) for of_site in ids]
    present = np.all(reached, axis=0)
    kept = []
    for together in rows_of_sequences(trace.steps):
        for rows in together:
            decided = rows[present[rows]]
            if len(decided):
                kept.append(decided)
    return kept


def _of_sequences(ids: np.ndarray, sequences: list[np.ndarray]) -> Sequences:
    return [ids[rows] for rows in sequences]


def _ids(trace: Trace, name: str) -> np.ndarray:
    """The decisions of a site, int [rows, k]."""
    site = trace.site(name)
    if not site.routing.mixes_experts:
        raise CondsimError(
            f"site {name!r} of trace {trace.name!r} is {site.routing.title}; a generator is fitted "
            "to mixtures of experts"
        )
    ids = trace.decisions(name).ids
    return ids.reshape(len(ids), -1)
