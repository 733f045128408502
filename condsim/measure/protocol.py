"""Time a live model beside its baselines: pairs, interleaved, every repetition kept.

A step is a forward under inference mode or, of a model in training, forward, backward and optimizer
at learning rate 0. Each case (phase, batch, strategy, baseline) warms both sides up and times them
in turn, in random order within a pair: one torch thread unless the plan has more, no garbage
collection. The sites are installed once, and only the model's call is inside the clock
(`condsim.timing.clock` says which).

What runs between two runs of a step is the protocol's (`condsim.protocols`):

- `repeat`: a few steps, spread evenly, each run several times. What a side finds in the caches is
  what its partner left.
- `loop`: the same steps, but each side runs its own over and over, with nothing in between: some
  calls that do not count, then many of which the median does. The sides take turns loop by loop.
  What a side finds in the caches is what its own step left.
- `stream`: successive different steps, each timed once a pair, over and over. Before a timed call
  the same side runs the step before, so that it finds in the caches (and among the kernels written
  for sizes seen so far) what a stream of its own would leave. Kernels of cases before are
  forgotten.

A pair counts where nothing disturbed it: a yardstick is read before and after, a slow reading is
waited out for a while, and a pair that ends with one is run again. All pairs are kept, with what
the yardstick said.

Decisions are the model's own, checked against the trace (`condsim.measure.agreement`).
`decisions="trace"` forces the trace's decisions instead, so that exactly its rows run; that costs
the conditional side a few microseconds a site, and the router still runs.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import torch

from condsim.calibrate.new_shapes import forget_kernels
from condsim.live.inputs import Batch
from condsim.live.model import LiveModel
from condsim.measure import yardsticks
from condsim.measure.agreement import check_decisions, learn_sites
from condsim.measure.cases import Case, Cases, in_its_mode
from condsim.measure.compiled import compiling
from condsim.measure.gate import Gate
from condsim.measure.plan import Plan, Progress, require_forwards
from condsim.measure.replay import Captured, Step
from condsim.measure.sides import Side, installed
from condsim.protocols import Protocol
from condsim.timing.cases import quiet, threads
from condsim.timing.clock import CPU, WALL, Clock, clock_for
from condsim.timing.device import CPU as CPU_DEVICE
from condsim.timing.device import placed, the_device, waiting_clock
from condsim.trace import MEASUREMENTS, Trace

WATCHED_CALLS = 3
"""Calls that show whether a side waits for something."""
ATTEMPTS = 2
"""At a pair that counts."""
SHORT_WAIT_S = 0.002
"""After a longer wait the caches are no longer as a pair leaves them."""
WARM_S, WARM_CALLS = 0.02, 3
"""A loop begins with calls that do not count: for so long, and at least so many."""
LOOP_S, LEAST_CALLS, MOST_CALLS = 0.04, 5, 500
"""Calls of a loop that count: for so long, and how many at least and at most."""


@dataclass
class Measured:
    """Rows of `Trace.measurements`, and what the yardsticks said before and after.

    The rows lack two columns: process and yardstick_ratio.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    readings: list[dict[str, float]] = field(default_factory=list)

    def table(self, process: int, yardstick_ratio: float) -> pd.DataFrame:
        """The rows, as of one process."""
        rows = pd.DataFrame(self.rows)
        whole = rows.assign(process=process, yardstick_ratio=yardstick_ratio)
        return whole[list(MEASUREMENTS)]


@dataclass(frozen=True)
class Turn:
    """One pair to time.

    before: the step that each side runs first, untimed; None: the pair follows one of its own step.
    warm_up: whether both sides are warmed up on the step first.
    """

    step: Step
    before: Step | None = None
    warm_up: bool = False


@dataclass(frozen=True)
class Pair:
    """One timed pair. yardstick_s: the slowest of the readings before and after.

    calls: of each side, of which the median counts, at least.
    """

    step: Step
    conditional_s: float
    baseline_s: float
    yardstick_s: float
    calls: int = 1


def ignore_progress(what: str, done: int, of: int) -> None:
    """The progress of a caller who does not ask for it."""


def measure_cases(
    trace: Trace,
    live: LiveModel,
    inputs: Sequence[Batch],
    plan: Plan,
    module: torch.nn.Module | None = None,
    progress: Progress = ignore_progress,
) -> Measured:
    """All cases of a plan, one after the other in this process, between two yardstick readings.

    inputs: what the trace was captured on. module: a dense module, measured as one more baseline.
    Raises CondsimError for inputs or decisions that are not the trace's, an unknown name, and
    outputs that are NaN.
    """
    if plan.compiles:
        require_forwards(trace, "runtime 'compiled'")
    device = the_device(plan.device)
    captured = Captured(trace, live, [batch.to(device) for batch in inputs])
    measured = Measured()
    order = np.random.default_rng(plan.seed)
    with (
        threads(plan.threads),
        in_its_mode(live.model, live.training),
        in_its_mode(module, live.training),
        placed(live.model, device),
        placed(module, device),
        compiling() if plan.compiles else contextlib.nullcontext(),
    ):
        learn_sites(captured)
        cases = Cases(captured, plan, module)
        measured.readings.append(yardsticks.read())
        gate = Gate(plan.yardstick_s)
        done = 0
        for workload in cases.workloads():
            with quiet():
                for case in cases.of(workload):
                    progress("measure", done, len(cases))
                    measured.rows += time_case(case, gate, order)
                    done += 1
            if workload.protocol.steps_follow:
                check_decisions(workload.replay, workload.strategies, plan, workload.steps)
        measured.readings.append(yardsticks.read())
        progress("measure", done, len(cases))
    return measured


def time_case(case: Case, gate: Gate, order: np.random.Generator) -> list[dict[str, Any]]:
    """At least as many pairs as the plan has, as rows of `Measured`. order: within pairs."""
    plan, steps, protocol = case.plan, case.workload.steps, case.workload.protocol
    sides = case.sides()
    columns = case.columns()
    if protocol.steps_follow and plan.device == CPU_DEVICE:
        forget_kernels()
    with installed(sides, steps):
        clock = clock_of(sides, steps[-1], plan)
        timer_of_protocol = LoopTimer if protocol.loops else PairTimer
        timer = timer_of_protocol(sides, clock, gate, order, plan.patience_s)
        pairs: list[Pair] = []
        for turn in turns(steps, plan.pairs, protocol):
            pairs += timer.time(turn)
    columns["clock"] = "cpu" if clock is CPU else "wall"
    return [columns | _pair_columns(number, pair) for number, pair in enumerate(pairs)]


def _pair_columns(number: int, pair: Pair) -> dict[str, Any]:
    return {
        "pair": number,
        "step": pair.step.index,
        "repetitions": pair.calls,
        "conditional_s": pair.conditional_s,
        "baseline_s": pair.baseline_s,
        "yardstick_s": pair.yardstick_s,
    }


def clock_of(sides: Sequence[Side], step: Step, plan: Plan) -> Clock:
    """The clock that times both sides: the CPU's, unless a side waits or several threads work.

    Both sides are warmed up to see that.
    """
    clocks = []
    for side in sides:
        pauses = side.warm_up(step, WATCHED_CALLS)
        clocks.append(clock_for(pauses))
    if plan.device != CPU_DEVICE:
        return waiting_clock(the_device(plan.device))
    if WALL in clocks or plan.threads > 1:
        return WALL
    return CPU


def turns(steps: Sequence[Step], pairs: int, protocol: Protocol) -> Iterator[Turn]:
    """At least so many pairs of a case in order; pairs that are run again do not count."""
    if protocol.steps_follow:
        for pair in range(pairs):
            step = steps[pair % len(steps)]
            before = steps[(pair - 1) % len(steps)]
            yield Turn(step, before=before)
        return
    pairs_a_step = -(-pairs // len(steps))
    for step in steps:
        for pair in range(pairs_a_step):
            yield Turn(step, warm_up=pair == 0)


class PairTimer:
    """Times the pairs of one case. patience_s: how long it waits, in all, for a quiet machine."""

    def __init__(
        self,
        sides: tuple[Side, Side],
        clock: Clock,
        gate: Gate,
        order: np.random.Generator,
        patience_s: float,
    ) -> None:
        self.sides = sides
        self.clock = clock
        self.gate = gate
        self.order = order
        self.patience_s = patience_s

    def time(self, turn: Turn) -> list[Pair]:
        """The pair of a turn, and once more if it was disturbed; both are kept."""
        if turn.warm_up:
            for side in self.sides:
                side.warm_up(turn.step)
        pairs: list[Pair] = []
        for _ in range(ATTEMPTS):
            pairs.append(self._time_once(turn))
            if self.gate.is_open(pairs[-1].yardstick_s):
                break
        return pairs

    def _time_once(self, turn: Turn) -> Pair:
        reading_s = self._wait(turn)
        seconds = [0.0, 0.0]
        for number in self.order.permutation(2):
            side = self.sides[number]
            if turn.before is not None:
                side.run(turn.before, self.clock)
            seconds[number] = side.run(turn.step, self.clock)
        reading_s = max(reading_s, self.gate.yardstick.after())
        return Pair(turn.step, seconds[0], seconds[1], reading_s)

    def _wait(self, turn: Turn) -> float:
        """Wait for a quiet machine. Returns the yardstick's last reading."""
        reading_s, waited_s = self.gate.wait(self.patience_s)
        if waited_s > SHORT_WAIT_S:
            self.patience_s -= waited_s
            before = turn.step if turn.before is None else turn.before
            for side in self.sides:
                side.run(before, self.clock)
        return reading_s


class LoopTimer(PairTimer):
    """Times pairs of loops: each side runs its step over and over, one side after the other."""

    def _time_once(self, turn: Turn) -> Pair:
        reading_s = self._wait(turn)
        seconds = [0.0, 0.0]
        calls = MOST_CALLS
        for number in self.order.permutation(2):
            of_calls = loop(self.sides[number], turn.step, self.clock)
            seconds[number] = float(np.median(of_calls))
            calls = min(calls, len(of_calls))
            reading_s = max(reading_s, self.gate.yardstick.after())
        return Pair(turn.step, seconds[0], seconds[1], reading_s, calls)


def loop(side: Side, step: Step, clock: Clock) -> list[float]:
    """Seconds of calls that follow each other with nothing in between, without the first ones."""
    warmed_s = last_s = 0.0
    warmed = 0
    while warmed < WARM_CALLS or warmed_s < WARM_S:
        last_s = side.run(step, clock)
        warmed_s += last_s
        warmed += 1
    wanted = int(LOOP_S / last_s)
    calls = min(max(wanted, LEAST_CALLS), MOST_CALLS)
    return [side.run(step, clock) for _ in range(calls)]
