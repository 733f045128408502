"""A model on several devices in words: what waits for what, and for which load it pays."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from condsim.predict.verdict import PAYS
from condsim.show.text import percent, seconds, times

if TYPE_CHECKING:
    import pandas as pd

    from condsim.catalogue.parts.loads import Load


def waits_line(devices: pd.DataFrame) -> str:
    """Say where the mean rank's time goes. devices: of a prediction, a row a rank."""
    works_s = float(devices["seconds"].mean())
    waits_s = float(devices["waiting_s"].mean())
    exchanges_s = float(devices["communication_s"].mean())
    whole_s = works_s + waits_s + exchanges_s
    shares = [percent(of / whole_s, sign=False) for of in (works_s, waits_s, exchanges_s)]
    ranks, works = devices["rank"].tolist(), devices["seconds"].tolist()
    longest_s = max(works)
    return (
        f"a rank works {shares[0]} of a step, waits {shares[1]} for slower ranks, and {shares[2]} "
        f"for exchanges; rank {ranks[works.index(longest_s)]} works longest ({seconds(longest_s)})"
    )


def loads_lines(loads: Iterable[Load], baseline: str) -> list[str]:
    """Say for which loads it pays, a line each. baseline: that speedups are over."""
    lines = []
    for load in loads:
        verdict = PAYS[load.verdict]
        lines.append(
            f"batch {load.batch}: {times(load.speedup)} over {baseline}, "
            f"{seconds(load.latency_s)} a step: {verdict}"
        )
    return lines
