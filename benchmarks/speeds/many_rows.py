"""A trace of as many images as asked, each a row: `exit-fashion` with its images drawn again and
again, from the same seed each time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from either import first_of
from large import built_once

import condsim
from condsim.trace import Decisions, Trace

DRAWN_FROM = Path("traces") / "exit-fashion"


def many_rows(rows: int) -> Path:
    """Return the folder of the trace, which is built where the temporary folder lacks it."""
    return built_once(f"{rows}-rows", lambda: drawn(rows))


def drawn(rows: int) -> Trace:
    """Return the trace of so many rows, less those of a last, smaller batch."""
    small = condsim.load(DRAWN_FROM)
    first = small.steps.iloc[0]
    batch = int(first["units"])
    steps = rows // batch
    columns = {"phase": first["phase"], "units": [batch] * steps, "seq": first["seq"], "past": 0}
    images = np.random.default_rng(0).integers(0, small.units, steps * batch)
    decisions = {}
    for site in small.sites:
        of_site = small.decisions(site.name)
        scores = None if of_site.scores is None else of_site.scores[images]
        decisions[site.name] = Decisions(of_site.ids[images], scores=scores)
    in_memory = first_of("in_memory", "condsim.trace.encoding", "condsim.store")
    return Trace(small.header, pd.DataFrame(columns), small.programs, in_memory(decisions))
