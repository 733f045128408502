"""Measured seconds of a live model by segment and operator, in this process.

Each step runs in pairs with its baseline as in `condsim.measure.protocol`, in sessions of a few
pairs, with the profiler and without in turn. What a session finds in the caches is what its first
pair, which does not count, left. The operators that the profiler saw are those of a recording of
the same step, one by one and in order, and the recording knows what guards they stand behind.

Of the calls that nothing disturbed, the middle half by duration counts, each operator with its mean
over them: so the seconds of a call's operators sum up to a time that the whole call took.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from condsim.errors import CondsimError
from condsim.live.inputs import Batch
from condsim.live.model import LiveModel
from condsim.measure.agreement import learn_sites
from condsim.measure.cases import Case, Cases, evaluating
from condsim.measure.gate import Gate
from condsim.measure.plan import Plan, Progress
from condsim.measure.profiler import (
    ProfiledCall,
    ProfilerCost,
    mark,
    measure_profiler_cost,
    profile_calls,
)
from condsim.measure.protocol import clock_of, ignore_progress
from condsim.measure.replay import Captured, Step
from condsim.measure.sides import Side, installed
from condsim.predict.choose import program_of
from condsim.predict.segments import families, segment_of
from condsim.protocols import REPEAT
from condsim.record.nest import guarded, tree
from condsim.timing.cases import Pool, quiet, threads
from condsim.timing.clock import CPU, Clock
from condsim.trace import SEGMENTS, Trace

PAIRS_A_SESSION = 3
SHARED = 1.02
"""Wall over CPU time of a call, above which another process had the core."""
LOST = math.inf
"""The reading of a call during which another process had the core: the profiler's clock is the
wall's."""
Labels = list[tuple[str, str]]
"""(segment, operator) of each operator of a call, in order."""


@dataclass(frozen=True)
class Tools:
    """What all cases are timed with. order: of the sides within a pair."""

    gate: Gate
    order: np.random.Generator
    profiler_cost: ProfilerCost


@dataclass(frozen=True)
class TimedCall:
    """A profiled call. reading_s: the slower reading of the yardstick around it, or LOST."""

    call: ProfiledCall
    reading_s: float


@dataclass
class Timings:
    """What was timed of one side in one step.

    profiled: calls with the profiler. whole: (seconds, slower reading of the yardstick around it)
    of calls without.
    """

    profiled: list[TimedCall] = field(default_factory=list)
    whole: list[tuple[float, float]] = field(default_factory=list)


def time_segments(
    trace: Trace,
    live: LiveModel,
    inputs: Sequence[Batch],
    plan: Plan,
    progress: Progress = ignore_progress,
) -> pd.DataFrame:
    """Rows of `Trace.segments`, all cases of a plan.

    plan.pairs: profiled pairs a case, and as many without the profiler.
    Raises CondsimError as measuring does, for a protocol other than `repeat`, and where the
    profiler sees other operators than the recorder.
    """
    if plan.protocol not in (None, REPEAT.name):
        raise CondsimError(
            f"by segment a step is timed in turn with its baseline (protocol {REPEAT.name!r}), "
            f"got {plan.protocol!r}"
        )
    plan = replace(plan, protocol=REPEAT.name)
    captured = Captured(trace, live, list(inputs))
    order = np.random.default_rng(plan.seed)
    rows: list[dict[str, Any]] = []
    with threads(1), evaluating(live.model):
        learn_sites(captured)
        cases = Cases(captured, plan)
        gate = Gate(plan.yardstick_s)
        with quiet():
            profiler_cost = measure_profiler_cost(Pool(), gate.yardstick)
        tools = Tools(gate, order, profiler_cost)
        done = 0
        for workload in cases.workloads():
            for case in cases.of(workload):
                progress("measure by segment", done, len(cases))
                with quiet():
                    rows += time_case(case, tools)
                done += 1
        progress("measure by segment", done, len(cases))
    return pd.DataFrame(rows).assign(process=0)[list(SEGMENTS)]


def time_case(case: Case, tools: Tools) -> list[dict[str, Any]]:
    """Rows of `Trace.segments` but for the process: both sides of a case, step by step."""
    plan = case.plan
    steps = case.workload.steps
    conditional, baseline = case.sides()
    sides = {"conditional": conditional, "baseline": baseline}
    labels: dict[tuple[str, int], Labels] = {}
    for name, side in sides.items():
        for step in steps:
            labels[name, step.index] = label_operators(side, step)
    columns = case.columns()
    pairs_a_step = -(-plan.pairs // len(steps))
    rows: list[dict[str, Any]] = []
    with installed((conditional, baseline), steps):
        for step in steps:
            clock = clock_of((conditional, baseline), step, plan)
            sessions = Sessions(sides, step, clock, tools)
            timings = sessions.run(pairs_a_step, plan.patience_s)
            for name in sides:
                of_step = columns | {"step": step.index, "side": name}
                for row in rows_of(labels[name, step.index], timings[name], tools):
                    rows.append(of_step | row)
    return rows


def label_operators(side: Side, step: Step) -> Labels:
    """The operators that a side runs in a step, by a recording."""
    replay = side.replay
    program = program_of(replay.trace, side.strategies, replay.cut.regime)
    execution = side.execution(step)
    recorder = replay.live.record(step.batch, execution, **step.cache(side.strategies))
    recorded = tree(recorder, dict(program.periods))
    of_families = families(replay.trace, program)
    labels: Labels = []
    for operator, guards in guarded(recorded):
        segment = segment_of(operator, guards, of_families)
        labels.append((segment, operator.name))
    return labels


class Sessions:
    """Sessions of a few pairs of one step, each without the profiler and then with it."""

    def __init__(self, sides: Mapping[str, Side], step: Step, clock: Clock, tools: Tools) -> None:
        self.sides = sides
        self.step = step
        self.clock = clock
        self.tools = tools
        self.timings = {name: Timings() for name in sides}

    def run(self, pairs: int, patience_s: float) -> dict[str, Timings]:
        """At least so many pairs. Returns the timings of each side.

        patience_s: how long to wait, in all, for a machine that is disturbed.
        """
        for _ in range(-(-pairs // PAIRS_A_SESSION)):
            patience_s -= self._session(patience_s)
        return self.timings

    def _session(self, patience_s: float) -> float:
        """One session. Returns the seconds that it waited."""
        gate = self.tools.gate
        names = self._draw_order()
        before_s, waited_s = gate.wait(patience_s)
        seconds = self._run_sides(names, self.clock)
        between_s = gate.yardstick()
        marked_s: list[float] = []
        calls = profile_calls(lambda: marked_s.extend(self._run_sides(names, mark)))
        after_s = gate.yardstick()
        for i in range(len(self.sides), len(names)):
            timings = self.timings[names[i]]
            timings.whole.append((seconds[i], max(before_s, between_s)))
            reading_s = max(between_s, after_s)
            if self.clock is CPU and calls[i].seconds.sum() > SHARED * marked_s[i]:
                reading_s = LOST
            timings.profiled.append(TimedCall(calls[i], reading_s))
        return waited_s

    def _draw_order(self) -> list[str]:
        """The sides of a pair that does not count, and of the pairs of a session."""
        sides = list(self.sides)
        names: list[str] = []
        for _ in range(1 + PAIRS_A_SESSION):
            pair = self.tools.order.permutation(sides)
            names += [str(name) for name in pair]
        return names

    def _run_sides(self, names: Sequence[str], clock: Callable[[], float]) -> list[float]:
        return [self.sides[name].run(self.step, clock) for name in names]


def rows_of(labels: Labels, timings: Timings, tools: Tools) -> list[dict[str, Any]]:
    """One row for each segment and operator of a side in a step, in executed order."""
    for timed in timings.profiled:
        require_same_operators(timed.call, labels)
    gate = tools.gate
    undisturbed = [timed.call for timed in timings.profiled if gate.is_open(timed.reading_s)]
    counting = middle_half(undisturbed or _with_the_core(timings))
    profiler_s = tools.profiler_cost.of(counting[0].events)
    seconds = np.mean([call.seconds for call in counting], axis=0) - profiler_s
    operators = pd.DataFrame(labels, columns=["segment", "operator"])
    operators = operators.assign(calls=1, seconds=seconds, profiler_s=profiler_s)
    summed = operators.groupby(["segment", "operator"], sort=False, as_index=False).sum()
    whole_s = _whole_s(timings, gate)
    columns: dict[str, Any] = {"whole_s": whole_s, "repetitions": len(counting)}
    columns["quiet"] = bool(undisturbed)
    rows: list[dict[str, Any]] = []
    for row in summed.to_dict("records"):
        of_operator = {str(name): value for name, value in row.items()}
        rows.append(columns | of_operator)
    return rows


def _with_the_core(timings: Timings) -> list[ProfiledCall]:
    """Calls during which no other process had the core; all calls if there is none."""
    calls = [timed.call for timed in timings.profiled if timed.reading_s < LOST]
    return calls or [timed.call for timed in timings.profiled]


def _whole_s(timings: Timings, gate: Gate) -> float:
    """Median seconds of undisturbed calls without the profiler; of all if there is none."""
    undisturbed = [seconds for seconds, reading_s in timings.whole if gate.is_open(reading_s)]
    all_calls = [seconds for seconds, _ in timings.whole]
    return float(np.median(undisturbed or all_calls))


def require_same_operators(call: ProfiledCall, labels: Labels) -> None:
    """Raises CondsimError where the profiler saw other operators than the recorder."""
    seen = call.names
    recorded = tuple(operator for _, operator in labels)
    if seen == recorded:
        return
    number = 0
    shorter = min(len(seen), len(recorded))
    while number < shorter and seen[number] == recorded[number]:
        number += 1
    seen_there = [*seen, "none"][number]
    recorded_there = [*recorded, "none"][number]
    raise CondsimError(
        f"by segment: the profiler saw {len(seen)} operators and the recorder {len(recorded)}; "
        f"they part at number {number}: {seen_there!r} and {recorded_there!r}"
    )


def middle_half(calls: Sequence[ProfiledCall]) -> list[ProfiledCall]:
    """The middle half by duration."""
    by_duration = sorted(calls, key=lambda call: float(call.seconds.sum()))
    edge = len(by_duration) // 4
    return by_duration[edge : len(by_duration) - edge]
