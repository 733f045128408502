"""One step of a model that is spread over ranks, as stages in time: who works, who waits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from condsim.predict.ranks import SpreadSide
from condsim.predict.timeline import COLUMNS

EXCHANGES = ("dispatch", "combine")


def rank_timeline(sides: Mapping[str, SpreadSide], step: int = 0) -> pd.DataFrame:
    """Return a row a slice of one step, in the columns of `condsim.predict.timeline`.

    A lane is a rank. part: "work" (a stage of the rank), "wait" (for slower ranks) or "exchange".
    sides: name → side.
    """
    rows = []
    for name, side in sides.items():
        for rank in range(len(side.ranks)):
            rows += [{"side": name, **row} for row in _slices(side, rank, step)]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _slices(side: SpreadSide, rank: int, step: int) -> Iterator[dict[str, Any]]:
    schedule, stages = side.schedule, side.stages
    lane = {"lane": f"rank {rank}", "guard": "", "basis": ""}
    for stage in range(len(stages)):
        begin = float(schedule.begin_s[step, stage])
        own = float(schedule.stages_s[step, rank, stage])
        slowest = float(schedule.slowest_s[step, stage])
        module = stages.name(stage)
        for part, start, duration in (("work", begin, own), ("wait", begin + own, slowest - own)):
            if duration > 0:
                operator = module if part == "work" else "wait for slower ranks"
                slot = {"start_s": start, "duration_s": duration}
                yield {**lane, **slot, "operator": operator, "part": part, "module": module}
        if stage < len(stages) - 1:
            yield from _beside(side, rank, step, stage)
            exchange = float(schedule.exchanges_s[step, stage])
            slot = {"start_s": begin + slowest, "duration_s": exchange}
            operator = EXCHANGES[stage % 2]
            yield {**lane, **slot, "operator": operator, "part": "exchange", "module": module}


def _beside(side: SpreadSide, rank: int, step: int, stage: int) -> Iterator[dict[str, Any]]:
    """What a rank computes while the exchange after a stage passes, in a lane of its own."""
    schedule = side.schedule
    if schedule.beside_s is None or not schedule.beside_s[step, rank, stage]:
        return
    begin = float(schedule.begin_s[step, stage] + schedule.stages_s[step, rank, stage])
    yield {
        "lane": f"rank {rank}, beside exchanges",
        "guard": "",
        "basis": "",
        "start_s": begin,
        "duration_s": float(schedule.beside_s[step, rank, stage]),
        "operator": "shared experts",
        "part": "work",
        "module": side.stages.name(stage),
    }
