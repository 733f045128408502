"""Measured seconds of a live model by segment and operator, in this process.

Each step runs in pairs with its baseline as in `condsim.measure.protocol`, in sessions of a few pairs, with the profiler and without in turn. What a session
finds in the caches is what its first pair, which does not count, left. The operators that the profiler saw are those of a recording of the same step, one by
one and in order, and the recording knows what guards they stand behind. Of the calls that nothing disturbed the middle half by duration counts, each operator
with its mean over them: so the seconds of a call's operators sum up to a time that the whole call took.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from condsim.errors import CondsimError
from condsim.live.inputs import Batch
from condsim.live.model import LiveModel
from condsim.measure.profiled import Cost, Profiled, cost, mark, profiled
from condsim.measure.protocol import (
    PATIENCE_S,
    WATCHED,
    Gate,
    Plan,
    Side,
    about,
    assignments,
    checked_steps,
    evaluating,
    installed,
    know_sites,
)
from condsim.measure.steps import Replay, Step
from condsim.predict.segments import families, segment_of
from condsim.record.nest import guarded, tree
from condsim.strategies.choose import program_of
from condsim.timing.cases import Pool, quiet, threads
from condsim.timing.clock import CPU, WALL, clock_for
from condsim.trace import SEGMENTS, Trace

PAIRS_A_SESSION = 3
SHARED = 1.02  # wall over CPU time of a call, above which another process had the core
Labels = list[tuple[str, str]]  # (segment, operator) of each operator of a call, in order


def time_segments(
    trace: Trace,
    live: LiveModel,
    batches: list[Batch],
    plan: Plan,
    progress: Callable[[str, int, int], None] = lambda _what, _done, _of: None,
) -> pd.DataFrame:
    """Rows of `Trace.segments`, all cases of a plan. plan.pairs: profiled pairs a case, and as many without the profiler.

    Raises CondsimError as measuring does, for a protocol other than `repeat`, and where the profiler sees other operators than the recorder.
    """
    if plan.protocol != "repeat":
        raise CondsimError(
            f"by segment a step is timed again and again (protocol 'repeat'), got {plan.protocol!r}"
        )
    rng = np.random.default_rng(plan.seed)
    phases = list(dict.fromkeys(trace.steps["phase"])) if plan.phase is None else [plan.phase]
    rows: list[dict[str, Any]] = []
    with threads(1), evaluating(live.model):
        know_sites(trace, live, batches[0])
        ways = assignments(trace, live, plan.strategies)
        gate = Gate(plan.yardstick_s)
        with quiet():
            profiler = cost(Pool(), gate.read)
        done, total = 0, len(phases) * len(plan.sizes) * len(ways) * len(plan.baselines)
        for phase in phases:
            for size in plan.sizes:
                replay = Replay(trace, live, batches, size, phase)
                for way in ways:
                    steps = checked_steps(replay, way, plan)
                    for kind in plan.baselines:
                        progress("measure by segment", done, total)
                        with quiet():
                            rows += _case(replay, steps, way, kind, plan, rng, gate, profiler)
                        done += 1
        progress("measure by segment", done, total)
    return pd.DataFrame(rows).assign(process=0)[list(SEGMENTS)]


def _case(
    replay: Replay,
    steps: Sequence[Step],
    way: Mapping[str, str],
    kind: str,
    plan: Plan,
    rng: np.random.Generator,
    gate: Gate,
    profiler: Cost,
) -> list[dict[str, Any]]:
    sides = {
        "conditional": Side(replay, way, plan),
        "baseline": Side(replay, dict.fromkeys(way, kind), plan),
    }
    labels = {
        (name, step.index): _labels(replay, side, step)
        for name, side in sides.items()
        for step in steps
    }
    common = about(replay, way, kind, plan)
    rows: list[dict[str, Any]] = []
    with installed(tuple(sides.values()), steps):
        for step in steps:
            waits = [clock_for(side.warm_up(step, WATCHED)) is WALL for side in sides.values()]
            calls, wholes = _sessions(
                sides, step, -(-plan.pairs // len(steps)), rng, gate, WALL if any(waits) else CPU
            )
            for name in sides:
                found = _rows(labels[name, step.index], calls[name], wholes[name], gate, profiler)
                rows += [{**common, "step": step.index, "side": name, **row} for row in found]
    return rows


def _labels(replay: Replay, side: Side, step: Step) -> Labels:
    """Of the operators that a side runs in a step, by a recording."""
    program = program_of(replay.trace, side.way, replay.steps)
    recorder = replay.live.record(step.batch, side.execution(step), **step.more())
    alike = families(replay.trace, program)
    return [
        (segment_of(op, guards, alike), op.name)
        for op, guards in guarded(tree(recorder, dict(program.periods)))
    ]


def _sessions(
    sides: Mapping[str, Side],
    step: Step,
    pairs: int,
    rng: np.random.Generator,
    gate: Gate,
    clock: Callable[[], float],
) -> tuple[dict[str, list[tuple[Profiled, float]]], dict[str, list[tuple[float, float]]]]:
    """By side: (profiled call, slowest yardstick around it; infinite where another process had the core meanwhile, since the profiler's clock is the wall's),
    and (seconds of a call without the profiler, slowest yardstick)."""
    calls: dict[str, list[tuple[Profiled, float]]] = {name: [] for name in sides}
    wholes: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    patience = PATIENCE_S

    def run(order: list[str], clock: Callable[[], float]) -> list[float]:
        return [sides[name].run(step, clock) for name in order]

    for _ in range(-(-pairs // PAIRS_A_SESSION)):
        order = [name for _ in range(1 + PAIRS_A_SESSION) for name in rng.permutation(list(sides))]
        before, waited = gate.wait(patience)
        patience -= waited
        seconds = run(order, clock)
        between = gate.read()
        own: list[float] = []
        seen = profiled(lambda order=order, own=own: own.extend(run(order, mark)))  # type: ignore[misc]
        after = gate.read()
        for name, whole, call, cpu in list(zip(order, seconds, seen, own, strict=True))[
            len(sides) :
        ]:
            wholes[name].append((whole, max(before, between)))
            lost = clock is CPU and call.seconds.sum() > SHARED * cpu
            calls[name].append((call, float("inf") if lost else max(between, after)))
    return calls, wholes


def _rows(
    labels: Labels,
    calls: list[tuple[Profiled, float]],
    wholes: list[tuple[float, float]],
    gate: Gate,
    profiler: Cost,
) -> list[dict[str, Any]]:
    """A row a segment and operator, in executed order."""
    operators = tuple(operator for _, operator in labels)
    for call, _ in calls:
        if call.names != operators:
            at = next(
                (i for i, (a, b) in enumerate(zip(call.names, operators, strict=False)) if a != b),
                min(len(call.names), len(operators)),
            )
            raise CondsimError(
                f"by segment: the profiler saw {len(call.names)} operators and the recorder {len(operators)}; they part at number {at}: "
                f"{[*call.names, 'none'][at]!r} and {[*operators, 'none'][at]!r}"
            )
    good = [c for c, reading in calls if gate.open(reading)]
    counting = _middle(
        good or [c for c, reading in calls if reading < float("inf")] or [c for c, _ in calls]
    )
    taken_off = profiler.of(counting[0].events)
    seconds = np.mean([c.seconds for c in counting], axis=0) - taken_off
    undisturbed = [s for s, reading in wholes if gate.open(reading)] or [s for s, _ in wholes]
    table = pd.DataFrame(
        {
            "segment": [s for s, _ in labels],
            "operator": operators,
            "calls": 1,
            "seconds": seconds,
            "profiler_s": taken_off,
        }
    )
    summed = table.groupby(["segment", "operator"], sort=False, as_index=False).sum()
    same: dict[str, Any] = {
        "whole_s": float(np.median(undisturbed)),
        "repetitions": len(counting),
        "quiet": bool(good),
    }
    return [{**same, **{str(k): v for k, v in row.items()}} for row in summed.to_dict("records")]


def _middle(calls: list[Profiled]) -> list[Profiled]:
    """The middle half by duration."""
    order = sorted(calls, key=lambda c: float(c.seconds.sum()))
    edge = len(order) // 4
    return order[edge : len(order) - edge]
