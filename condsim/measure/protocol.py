"""Time a live model beside its baselines: pairs, interleaved, every repetition kept.

A step is a forward under inference mode or, of a model in training, forward, backward and optimizer
at learning rate 0. Each case (phase, batch, strategy, baseline) warms both sides up and times them
in turn, in random order within a pair: one torch thread unless the plan has more, no garbage
collection. The sites are installed once, and only the model's call is inside the clock
(`condsim.timing.clock` says which).

What runs between two runs of a step is the protocol's (`condsim.protocols`):

- `repeat`: a few steps, spread evenly, each run several times, both sides in turn. What a side
  finds in the caches is what its partner left.
- `loop`: the same steps, but each side runs its own over and over, with nothing in between. The
  sides take turns loop by loop. What a side finds in the caches is what its own step left.
- `stream`: successive different steps of one side, then the same steps of the other. What a side
  finds in the caches (and among the kernels written for sizes seen so far) is what the steps before
  left. Kernels of cases before are forgotten.

Pairs are timed in stretches (`condsim.measure.timers`). A pair counts where nothing disturbed its
stretch: a yardstick is read before and after, a slow reading is waited out for a while, and a
stretch that ends with one is run again. All pairs are kept, with what the yardstick said.

Decisions are the model's own, checked against the trace (`condsim.measure.agreement`).
`decisions="trace"` forces the trace's decisions instead, so that exactly its rows run; that costs
the conditional side a few microseconds a site, and the router still runs.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
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
from condsim.measure.timers import Pair, Watch, timer_of
from condsim.timing.cases import quiet, threads
from condsim.timing.clock import CPU, WALL, Clock, clock_for
from condsim.timing.device import CPU as CPU_DEVICE
from condsim.timing.device import placed, the_device, waiting_clock
from condsim.trace import MEASUREMENTS, Trace

WATCHED_CALLS = 3
"""Calls that show whether a side waits for something."""


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
        watch = Watch(clock, gate, order, plan.patience_s)
        timer = timer_of(protocol)(sides, watch)
        pairs = list(timer.pairs(steps, plan.pairs))
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
