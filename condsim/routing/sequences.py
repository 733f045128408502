"""The decisions of a trace in sequences: which tokens follow each other."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from condsim.errors import CondsimError
from condsim.mechanisms.base import NOT_REACHED
from condsim.program.regime import DECODE
from condsim.trace import Trace

Sequences = list[np.ndarray]
"""The ids of one layer: int [positions, k] of each sequence."""


def sequences_of(trace: Trace) -> list[Sequences]:
    """Return the sequences of every layer, the same tokens in each.

    A unit of a prefill step is one; so are the tokens of a unit in decode steps that follow each
    other. Tokens that some layer has no decision for are left out.
    Raises CondsimError where some site is no mixture of experts that sees one row a token.
    """
    trace.require_decisions()
    if not trace.sites:
        raise CondsimError(f"trace {trace.name!r} has no layers of experts")
    ids = []
    for site in trace.sites:
        if not site.routing.mixes_experts:
            raise CondsimError(
                f"site {site.name!r} of trace {trace.name!r} is {site.routing.title}; a generator "
                "is fitted to mixtures of experts"
            )
        of_site = trace.decisions(site.name).ids
        ids.append(of_site.reshape(len(of_site), -1))
    if len({len(of_site) for of_site in ids}) > 1:
        raise CondsimError(f"the layers of trace {trace.name!r} do not see the same tokens")
    present = np.all([(of_site != NOT_REACHED).all(1) for of_site in ids], axis=0)
    rows = [some[present[some]] for some in _rows_of_sequences(trace)]
    rows = [some for some in rows if len(some)]
    return [[of_site[some] for some in rows] for of_site in ids]


def _rows_of_sequences(trace: Trace) -> Iterator[np.ndarray]:
    """Numbers of the rows of each sequence, in order."""
    begun: list[np.ndarray] = []  # decode steps that follow each other, int [units] each
    expected: tuple[int, int] | None = None  # (units, past) of the step that would follow
    first = 0
    for phase, units, seq, past in trace.steps.itertuples(index=False):
        rows = first + np.arange(units * seq).reshape(units, seq)
        first += units * seq
        if phase != DECODE or (units, past) != expected:
            yield from np.array(begun).T
            begun = []
        if phase == DECODE:
            begun.append(rows[:, 0])
            expected = (units, past + 1)
        else:
            yield from rows
            expected = None
    yield from np.array(begun).T
