"""A made-up trace of every encoding."""

from __future__ import annotations

import numpy as np
import pandas as pd

from condsim.trace import Decisions, Header, Provenance, Site, Trace
from condsim.trace.encoding import in_memory
from condsim.trace.header import ONE_A_POSITION

RNG = np.random.default_rng(0)
UNITS, SEQ = 12, 3


def make_trace(name: str = "made") -> Trace:
    """All three encodings: ids with weights a position, a chain of exits with scores, packed
    bits."""
    sites = (
        Site(
            name="experts",
            mechanism="moe",
            branches=5,
            top_k=2,
            stored="experts",
            unit_rows=ONE_A_POSITION,
            has_weights=True,
        ),
        *(
            Site(
                name=f"exit{j}",
                mechanism="early_exit",
                branches=2,
                encoding="depth",
                stored="exits",
                level=j,
                has_scores=True,
                parents=tuple((f"exit{i}", 1) for i in range(j)),
            )
            for j in range(2)
        ),
        Site(
            name="blocks",
            mechanism="sparse_activation",
            branches=11,
            encoding="bits",
            stored="blocks",
        ),
    )
    depth = RNG.integers(0, 3, UNITS)
    decisions = {
        "experts": Decisions(
            np.argsort(RNG.random((UNITS * SEQ, 5)), axis=1)[:, :2].astype(np.int16),
            RNG.random((UNITS * SEQ, 2)).astype(np.float32),
        ),
        "exit0": Decisions(
            (depth > 0).astype(np.int16), scores=RNG.random(UNITS).astype(np.float32)
        ),
        "exit1": Decisions(
            np.where(depth < 1, -1, depth > 1).astype(np.int16),
            scores=RNG.random(UNITS).astype(np.float32),
        ),
        "blocks": Decisions(RNG.random((UNITS, 11)) < 0.4),
    }
    header = Header(
        name=name,
        sites=sites,
        captured={"moe": "looped"},
        provenance=Provenance(model="tests.Made", taken="2026-01-01T00:00:00+00:00", versions={}),
    )
    steps = pd.DataFrame([{"phase": "prefill", "units": 4, "seq": SEQ, "past": 0}] * (UNITS // 4))
    return Trace(header, steps, {}, in_memory(decisions))
