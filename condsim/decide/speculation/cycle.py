"""One cycle of self-speculative decoding as steps of a trace.

So many tokens leave at an exit, which drafts the next one each time; then one token goes past it,
along with those that left: the whole model verifies all drafts in one pass. That is what an early
exit with recomputed debts runs for these decisions, so the programs of the trace price it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from condsim.errors import CondsimError, unknown
from condsim.mechanisms.base import NOT_REACHED
from condsim.mechanisms.token_exit import GOES_ON, LEAVES, TokenExit
from condsim.program.regime import DECODE
from condsim.steps.sequences import sequence_of_units
from condsim.trace import Decisions, Trace
from condsim.trace.encoding import in_memory
from condsim.trace.header import drafts_column

VERIFIES = "recomputed"
"""The strategy that runs what is owed along with a new token."""


def exits_of(trace: Trace) -> list[str]:
    """Return the exits that can draft, the first one first.

    Raises CondsimError for a trace that decides anything else, or does not know what drafts are
    worth.
    """
    exits = [site.name for site in trace.sites]
    if set(trace.mechanisms) != {TokenExit.name}:
        kinds = ", ".join(trace.mechanisms) or "nothing"
        raise CondsimError(
            f"trace {trace.name!r} decides {kinds}: drafts come from exits of tokens while "
            "decoding (mechanism token_exit)"
        )
    if not {drafts_column(name) for name in exits} <= set(trace.quality):
        raise CondsimError(
            f"trace {trace.name!r} does not say whether its exits give the tokens of all layers: "
            "capture it again"
        )
    return exits


def check_exit(trace: Trace, exit: str) -> None:
    """Raises CondsimError for an exit that the trace does not have."""
    exits = exits_of(trace)
    if exit not in exits:
        raise unknown("exit", exit, exits)


def cycle(trace: Trace, exit: str, drafts: int, batch: int) -> Trace:
    """Return a trace of one cycle: `drafts` steps that leave at an exit, one that verifies.

    batch: sequences. Its steps stand where those of `trace` do in the mean.
    """
    exits = exits_of(trace)
    past = round(float(trace.steps["past"].mean()))
    rows = [(DECODE, batch, 1, past + step) for step in range(drafts + 1)]
    steps = pd.DataFrame(rows, columns=["phase", "units", "seq", "past"])
    passed = np.repeat([exits.index(exit)] * drafts + [len(exits)], batch)
    decisions = {}
    for number, name in enumerate(exits):
        ids = np.where(passed > number, GOES_ON, LEAVES)
        decisions[name] = Decisions(np.where(passed >= number, ids, NOT_REACHED).astype(np.int16))
    return replace(
        trace,
        steps=steps,
        reader=in_memory(decisions),
        quality=trace.quality.iloc[:0],
        measurements=trace.measurements.iloc[:0],
        segments=trace.segments.iloc[:0],
        profile=None,
    )


def tokens_a_cycle(trace: Trace, exit: str, drafts: int, batch: int = 1) -> float:
    """Return the tokens that a cycle gives in the mean: the drafts that are kept, and one more.

    Along each captured sequence, cycles follow each other; those that would go beyond its end are
    left out. batch: sequences that go on together, as far as the one of the fewest kept drafts.
    Raises CondsimError where no cycle fits, or there are fewer sequences.
    """
    agrees = _agreement(trace, exit)
    groups = len(agrees) // batch
    if groups == 0:
        raise CondsimError(f"batch {batch} is more than the {len(agrees)} sequences of the trace")
    of_groups = agrees[: groups * batch].reshape(groups, batch, -1)
    together = np.logical_and.reduce(of_groups, axis=1)
    if together.shape[1] <= drafts:
        raise CondsimError(
            f"{drafts} drafts do not fit into the {together.shape[1]} tokens that were decoded: "
            "ask for fewer, or capture with more --new-tokens"
        )
    cycles = tokens = 0
    for sequence in together:
        place = 0
        while place + drafts < len(sequence):
            kept = _kept(sequence[place : place + drafts])
            place += kept + 1
            cycles, tokens = cycles + 1, tokens + kept + 1
    return tokens / cycles


def _kept(agrees: np.ndarray) -> int:
    """Return the drafts before the first that is not the whole model's token."""
    return len(agrees) if agrees.all() else int(np.argmin(agrees))


def _agreement(trace: Trace, exit: str) -> np.ndarray:
    """Return whether an exit gives the token of all layers, bool [sequences, steps]."""
    of_step, sequences = sequence_of_units(trace)
    agrees = trace.quality[drafts_column(exit)].to_numpy() > 0
    order = np.argsort(of_step, kind="stable")
    counts = np.bincount(of_step, minlength=sequences)
    if len(set(counts.tolist())) > 1:
        raise CondsimError(f"trace {trace.name!r} has sequences of unlike length: capture one kind")
    return agrees[order].reshape(sequences, -1)
