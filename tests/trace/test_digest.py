"""The digest of a trace: equal for equal content, another for anything that a simulation reads."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from made_traces import make_trace

from condsim.trace import Decisions, Trace
from condsim.trace.digest import digest_of
from condsim.trace.encoding import in_memory

TRACE = make_trace()


def with_decisions(site: str, changed: Decisions) -> Trace:
    """The trace with other decisions at one site."""
    decisions = {one.name: TRACE.decisions(one.name) for one in TRACE.sites}
    return replace(TRACE, reader=in_memory({**decisions, site: changed}))


def test_a_copy_has_the_same() -> None:
    same = with_decisions("exit0", TRACE.decisions("exit0"))
    assert digest_of(same) == digest_of(TRACE)


def test_each_part_counts() -> None:
    ids = TRACE.decisions("experts").ids.copy()
    ids[0] = ids[0][::-1]
    swapped = with_decisions("experts", replace(TRACE.decisions("experts"), ids=ids))
    scores = TRACE.decisions("exit0").scores + np.float32(0.25)
    rescored = with_decisions("exit0", replace(TRACE.decisions("exit0"), scores=scores))
    renamed = replace(TRACE, header=TRACE.header.model_copy(update={"name": "other"}))
    longer = replace(TRACE, steps=TRACE.steps.assign(past=1))
    others = [digest_of(one) for one in (TRACE, swapped, rescored, renamed, longer)]
    assert len(set(others)) == len(others)


def test_quality_does_not_count() -> None:
    graded = replace(TRACE, quality=pd.DataFrame({"conditional": [1.0]}))
    assert digest_of(graded) == digest_of(TRACE)
