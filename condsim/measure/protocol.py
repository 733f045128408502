"""Time a live model beside its baselines: pairs, interleaved, order within a pair random, every repetition kept.

Each case (phase, batch, strategy, baseline) warms both sides up and times them in turn: one torch thread unless the plan has more, no garbage
collection, under inference mode. The sites are installed once and only the model's call is inside the clock (`condsim.timing.clock` says which).

- `repeat`: a few steps, spread evenly, each run several times. What a side finds in the caches is what its partner left.
- `stream`: successive different steps, each timed once a pair, over and over. Before a timed call the same side runs the step before, so that it
  finds in the caches (and among the kernels written for sizes seen so far) what a stream of its own would leave. Kernels of cases before are forgotten.

A pair counts where nothing disturbed it: a yardstick is read before and after, a slow reading is waited out for a while, and a pair that ends with one
is run again. All pairs are kept, with what the yardstick said.

Decisions are the model's own, so that nothing stands in the way of the model that is timed. But rounding depends on the batch, and a row on the edge
may decide otherwise than when it was captured. So each step is run once outside of the clock and compared with the trace: where more than one
decision in 1,000 differs, the next step takes its place, and where that does not help, it is an error that names the site. `decisions="trace"` forces
the trace's decisions instead, so that exactly its rows run; that costs the conditional side a few microseconds a site, and the router still runs.
"""

from __future__ import annotations

import contextlib
import gc
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch

from condsim.calibrate.new_shapes import forget_kernels
from condsim.errors import CondsimError, unknown
from condsim.hardware import UNDISTURBED, this_machine
from condsim.live.execution import BASELINES, Execution, executing
from condsim.live.inputs import Batch
from condsim.live.model import LiveModel
from condsim.measure import yardsticks
from condsim.measure.compiled import compiled, compiling
from condsim.measure.steps import Replay, Step, differing
from condsim.strategies import name_of
from condsim.timing.cases import quiet, threads
from condsim.timing.clock import CPU, WALL, Clock, clock_for, pauses
from condsim.timing.device import CPU as CPU_DEVICE
from condsim.timing.device import identity, placed, the_device, waiting_clock
from condsim.timing.yardstick import Yardstick
from condsim.trace import MEASUREMENTS, Trace

Progress = Callable[[str, int, int], None]
Protocol = Literal["repeat", "stream"]
PROTOCOLS = ("repeat", "stream")
RUNTIMES = ("eager", "compiled")
DECISIONS = ("natural", "trace")
KINDS = (*BASELINES, "module")
WATCHED = 3  # calls that show whether a side waits for something
TOLERATED = 0.001  # share of a step's decisions at a site that rounding may change
SAME_MODEL = (
    0.2  # the same where decisions are forced: no more than this in all, or it is another model
)
REPLACED = 8  # steps that may be replaced in a case
ATTEMPTS = 2  # at a pair that counts
PATIENCE_S = 4.0  # for a machine that is disturbed, a case
WAITED_S = 0.002


@dataclass(frozen=True)
class Plan:
    """How to measure. sizes: units a step, None: as captured. strategies: names, None: as captured. where: "caller" or "fresh process".
    yardstick_s: the yardstick when nothing disturbs it, as the calibration of this machine saw it; None: as this process does.
    patience_s: how long a case waits, in all, for a machine that is disturbed; None: PATIENCE_S. device: of torch, where model and inputs are moved to.
    threads: of torch; several are timed by the wall clock. runtime: "eager", or "compiled" by torch.compile."""

    sizes: Sequence[int | None] = (None,)
    strategies: Sequence[str] | None = None
    baselines: Sequence[str] = BASELINES
    phase: str | None = None
    protocol: str = "repeat"
    pairs: int = 30
    steps: int = 6
    seed: int = 0
    decisions: str = "natural"
    where: str = "caller"
    yardstick_s: float | None = None
    patience_s: float | None = None
    device: str = CPU_DEVICE
    threads: int = 1
    runtime: str = "eager"

    def __post_init__(self) -> None:
        for what, value in (
            ("pairs", self.pairs),
            ("steps", self.steps),
            ("threads", self.threads),
        ):
            if value < 1:
                raise CondsimError(f"{what} must be at least 1, got {value}")
        if self.protocol not in PROTOCOLS:
            raise unknown("protocol", self.protocol, PROTOCOLS)
        if self.runtime not in RUNTIMES:
            raise unknown("runtime", self.runtime, RUNTIMES)
        if self.runtime != "eager" and self.protocol != "repeat":
            raise CondsimError(
                f"protocol {self.protocol!r} would time compilations: measure runtime 'compiled' with 'repeat'"
            )
        if self.decisions not in DECISIONS:
            raise unknown("decisions", self.decisions, DECISIONS)
        for baseline in self.baselines:
            if baseline not in KINDS:
                raise unknown("baseline", baseline, KINDS)


@dataclass
class Measured:
    """Rows of the measurements table (but for process and yardstick_ratio), and what the yardsticks said before and after."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    readings: list[dict[str, float]] = field(default_factory=list)

    def table(self, process: int, yardstick_ratio: float) -> pd.DataFrame:
        return pd.DataFrame(self.rows).assign(process=process, yardstick_ratio=yardstick_ratio)[
            list(MEASUREMENTS)
        ]


def measure_live(
    trace: Trace,
    live: LiveModel,
    batches: list[Batch],
    *,
    strategies: str | Sequence[str] | None = None,
    module: torch.nn.Module | None = None,
    progress: Progress = lambda _what, _done, _of: None,
    batch: int | None = None,
    phase: str | None = None,
    baselines: Sequence[str] = BASELINES,
    protocol: str = "repeat",
    pairs: int = 30,
    steps: int = 6,
    seed: int = 0,
    decisions: str = "natural",
    where: str = "caller",
    threads: int = 1,
    runtime: str = "eager",
) -> Trace:
    """The trace with timings of the live model in this process.

    strategies: names for the mechanisms that have them, the others run as captured; None: all as captured. module: a dense module, measured as one
    more baseline on the same inputs. batches: the inputs that the trace was captured on. batch: units a step. phase: None for all there are. pairs:
    at least so many a case, over `steps` steps (repeat) or all there are (stream). seed: of the order within pairs. threads: of torch.
    runtime: "eager", or "compiled" by torch.compile.
    decisions, protocol: see above.
    Raises CondsimError for inputs or decisions that are not the trace's, an unknown name, and outputs that are NaN.
    """
    names = [strategies] if isinstance(strategies, str) else strategies
    own = this_machine(threads, trace.dtype)
    fast_s = own.yardstick_s if own else None
    plan = Plan(
        [batch],
        names,
        baselines,
        phase,
        protocol,
        pairs,
        steps,
        seed,
        decisions,
        where,
        fast_s,
        threads=threads,
        runtime=runtime,
    )
    measured = measure_cases(trace, live, batches, plan, module, progress)
    process = int(trace.measurements["process"].max()) + 1 if len(trace.measurements) else 0
    table = measured.table(
        process, yardsticks.ratio(measured.readings, yardsticks.best(measured.readings))
    )
    return trace.with_measurements(table, trace.profile or own)


def measure_cases(
    trace: Trace,
    live: LiveModel,
    batches: list[Batch],
    plan: Plan,
    module: torch.nn.Module | None = None,
    progress: Progress = lambda _what, _done, _of: None,
) -> Measured:
    """All cases of a plan, one after the other in this process, between two readings of the yardsticks."""
    kinds = [
        *plan.baselines,
        *(["module"] if module is not None and "module" not in plan.baselines else []),
    ]
    if "module" in kinds and module is None:
        raise CondsimError(
            "baseline 'module' needs the dense module: pass module= (capture: baseline=)"
        )
    found = Measured()
    rng = np.random.default_rng(plan.seed)
    phases = list(dict.fromkeys(trace.steps["phase"])) if plan.phase is None else [plan.phase]
    done = 0
    device = the_device(plan.device)
    batches = [b.to(device) for b in batches]
    with (
        threads(plan.threads),
        evaluating(live.model),
        evaluating(module),
        placed(live.model, device),
        placed(module, device),
        compiling() if plan.runtime == "compiled" else contextlib.nullcontext(),
    ):
        know_sites(trace, live, batches[0])
        ways = assignments(trace, live, plan.strategies)
        total = len(phases) * len(plan.sizes) * len(ways) * len(kinds)
        found.readings.append(yardsticks.read())
        gate = Gate(plan.yardstick_s)
        for phase in phases:
            for size in plan.sizes:
                replay = Replay(trace, live, batches, size, phase)
                for way in ways:
                    steps = checked_steps(replay, way, plan)
                    with quiet():
                        for kind in kinds:
                            progress("measure", done, total)
                            found.rows += _case(replay, steps, way, kind, module, plan, rng, gate)
                            done += 1
                    if plan.protocol == "stream":
                        _check(replay, way, plan, steps)
        found.readings.append(yardsticks.read())
        progress("measure", done, total)
    return found


def assignments(trace: Trace, live: LiveModel, names: Sequence[str] | None) -> list[dict[str, str]]:
    """Mechanism → strategy for each name. Raises CondsimError where nothing in this model can run it."""
    captured = dict(trace.header.captured)
    if names is None:
        return [captured]
    ways = [w for w in live.assignments() if not set(w.values()) <= set(BASELINES)]
    known = {name_of(w): w for w in ways}
    found = []
    for name in names:
        fits = {m for w in ways for m, s in w.items() if s == name}
        if name not in known and not fits:
            raise unknown(
                "strategy",
                name,
                [*known, *{s for w in ways for s in w.values()}],
                f"what can run {trace.name} here",
            )
        found.append(
            known[name]
            if name in known
            else {m: name if m in fits else s for m, s in captured.items()}
        )
    return found


def know_sites(trace: Trace, live: LiveModel, batch: Batch) -> None:
    """One natural pass: sites that are marked, routers and top-k are known once the model has run."""
    live.run(batch, Execution(dict(trace.header.captured)))
    there, expected = set(live.infos), {s.name for s in trace.sites}
    if there != expected:
        odd = sorted(there ^ expected)[0]
        raise CondsimError(
            f"site {odd!r} is only in the {'model' if odd in there else 'trace'}: this is not the model that was captured"
        )


def checked_steps(replay: Replay, way: Mapping[str, str], plan: Plan) -> list[Step]:
    """The steps to time, checked against the trace where that does not spoil what is timed."""
    n = len(replay)
    if plan.protocol == "stream":
        return [replay.step(i) for i in range(min(n, plan.pairs))]
    wanted = [int(i) for i in np.unique(np.linspace(0, n - 1, min(plan.steps, n)).round())]
    if plan.decisions == "trace":
        steps = [replay.step(i) for i in wanted]
        _check(replay, way, plan, steps)
        return steps
    steps, spare = [], REPLACED
    for i in wanted:
        while True:
            try:
                _check(replay, way, plan, [replay.step(i)])
            except CondsimError:
                spare -= 1
                i += 1
                if spare < 0 or i >= n or i in wanted:
                    raise
            else:
                break
        steps.append(replay.step(i))
    return steps


def _check(replay: Replay, way: Mapping[str, str], plan: Plan, steps: Sequence[Step]) -> None:
    """Raises CondsimError where a step's decisions are not the trace's, as captured or under the strategy to be timed."""
    captured = replay.trace.header.captured
    ways = [captured]
    # What `padded` drops changes what later layers see, and nothing of what it runs: its shapes do not depend on decisions.
    if dict(way) != dict(captured) and plan.decisions == "natural" and "padded" not in way.values():
        ways.append(way)
    for assignment in ways:
        counts: dict[str, tuple[int, int]] = {}
        for step in steps:
            execution = Execution(dict(assignment), observed={})
            with replay.live.prepared(execution):
                step.batch.call(replay.live.model, **step.more())
            for site, (odd, rows) in differing(step, execution.observed or {}).items():
                before = counts.get(site, (0, 0))
                counts[site] = (before[0] + odd, before[1] + rows)
                if plan.decisions == "natural" and odd > TOLERATED * rows:
                    raise CondsimError(
                        f"site {site!r}: {odd} of {rows} decisions in step {step.index} (batch {step.batch.units}, {name_of(assignment)}) "
                        "differ from the trace's. If few: rounding depends on the batch, decisions='trace' forces the trace's own. If most: these "
                        "are not the model and inputs that were captured"
                    )
        for site, (odd, rows) in counts.items():
            if odd > SAME_MODEL * rows:
                raise CondsimError(
                    f"site {site!r}: {odd} of {rows} decisions differ from the trace's: not the model and inputs that were captured"
                )


class Gate:
    """Says whether a pair counts. fast_s: the yardstick when nothing disturbs; None: as this process sees it."""

    def __init__(self, fast_s: float | None = None) -> None:
        self.read = Yardstick()
        self.fast_s = fast_s

    @property
    def limit_s(self) -> float:
        """The slowest reading that says that nothing disturbs."""
        return UNDISTURBED * min(self.read.fast_s, self.fast_s or self.read.fast_s)

    def open(self, reading: float) -> bool:
        """Whether nothing disturbs."""
        return reading <= self.limit_s

    def wait(self, patience_s: float) -> tuple[float, float]:
        """(the reading after waiting until nothing disturbs, seconds that it took), at most so long."""
        reading = self.read()
        return (reading, 0.0) if self.open(reading) else self.read.wait(self.limit_s, patience_s)


def _case(
    replay: Replay,
    steps: Sequence[Step],
    way: Mapping[str, str],
    kind: str,
    module: torch.nn.Module | None,
    plan: Plan,
    rng: np.random.Generator,
    gate: Gate,
) -> list[dict[str, Any]]:
    """One case: at least plan.pairs pairs."""
    sides = (
        Side(replay, way, plan),
        Side(replay, dict.fromkeys(way, kind), plan, module if kind == "module" else None),
    )
    common = {**about(replay, way, kind, plan), "repetitions": 1}
    rows: list[dict[str, Any]] = []
    if plan.protocol == "stream" and plan.device == CPU_DEVICE:
        forget_kernels()
    with installed(sides, steps):
        waits = [clock_for(side.warm_up(steps[-1], WATCHED)) is WALL for side in sides]
        clock = (
            waiting_clock(the_device(plan.device))
            if plan.device != CPU_DEVICE
            else WALL
            if any(waits) or plan.threads > 1
            else CPU
        )
        common["clock"] = "cpu" if clock is CPU else "wall"
        patience = PATIENCE_S if plan.patience_s is None else plan.patience_s
        for step, before in _order(steps, plan):
            if before is None:
                for side in sides:
                    side.warm_up(step)
                continue
            for _ in range(ATTEMPTS):
                reading, waited = gate.wait(patience)
                if waited > WAITED_S:  # the caches are no longer as a pair leaves them
                    patience -= waited
                    for side in sides:
                        side.run(before, clock)
                seconds = [0.0, 0.0]
                for s in rng.permutation(2):
                    if before is not step:
                        sides[s].run(before, clock)
                    seconds[s] = sides[s].run(step, clock)
                reading = max(reading, gate.read.after())
                rows.append(
                    {
                        **common,
                        "pair": len(rows),
                        "step": step.index,
                        "conditional_s": seconds[0],
                        "baseline_s": seconds[1],
                        "yardstick_s": reading,
                    }
                )
                if gate.open(reading):
                    break
    return rows


def about(replay: Replay, way: Mapping[str, str], kind: str, plan: Plan) -> dict[str, Any]:
    """What the rows of a case have in common."""
    return {
        "strategy": name_of(way),
        "baseline": kind,
        "phase": replay.phase,
        "batch": replay.steps.batch,
        "protocol": plan.protocol,
        "runtime": plan.runtime,
        "dtype": replay.trace.header.provenance.dtype,
        "threads": plan.threads,
        "where": plan.where,
        "fingerprint": json.dumps(identity(the_device(plan.device), plan.threads), sort_keys=True),
        "torch": torch.__version__,
        "taken": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _order(steps: Sequence[Step], plan: Plan) -> Iterator[tuple[Step, Step | None]]:
    """(step to time, step to run before it, untimed); None before a step that is to be warmed up. The step itself: nothing is run before it."""
    if plan.protocol == "stream":
        for pair in range(plan.pairs):
            yield steps[pair % len(steps)], steps[(pair - 1) % len(steps)]
        return
    for step in steps:
        yield step, None
        for _ in range(-(-plan.pairs // len(steps))):
            yield step, step


class Side:
    """One side of a pair. way: mechanism → strategy, or a baseline for all; module: runs instead of the model."""

    def __init__(
        self,
        replay: Replay,
        way: Mapping[str, str],
        plan: Plan,
        module: torch.nn.Module | None = None,
    ) -> None:
        self.replay, self.way, self.module = replay, dict(way), module
        self.forced = plan.decisions == "trace" and not set(way.values()) <= set(KINDS)
        runs = replay.live.model if module is None else module
        self.runs = compiled(runs) if plan.runtime == "compiled" else runs
        self.executions: dict[int, Execution] = {}

    def execution(self, step: Step) -> Execution:
        """What is in force in a step; made once, outside of the clock."""
        if step.index not in self.executions:
            header = self.replay.trace.header
            if self.module is not None:
                made = Execution()
            elif self.way and set(self.way.values()) == {"same-params"}:
                made = Execution({"*": "same-params"}, costliest=header.costliest)
            elif self.way and set(self.way.values()) == {"same-flops"}:
                made = Execution({"*": "same-flops"}, rows_kept=step.kept)
            else:
                made = Execution(
                    self.way,
                    forced={n: _forcible(ids) for n, ids in step.ids.items()}
                    if self.forced
                    else None,
                )
            made.sites.update(self.replay.live.infos)
            self.executions[step.index] = made
        return self.executions[step.index]

    def run(self, step: Step, clock: Clock) -> float:
        """Seconds of one call."""
        model, more = self.runs, step.more()
        with executing(self.execution(step)):
            start = clock()
            out = step.batch.call(model, **more)
            seconds = clock() - start
        del out
        return seconds

    def warm_up(self, step: Step, calls: int = 1) -> list[int]:
        """How often each of so many calls, after a first, paused. Raises CondsimError for an output that is NaN."""
        with executing(self.execution(step)):
            out = step.batch.call(self.runs, **step.more())
        if _has_nan(out):
            raise CondsimError(
                f"the output of step {step.index} is NaN ({name_of(self.way)}): no timing of such a model means anything"
            )
        return [pauses(lambda: self.run(step, WALL)) for _ in range(calls)]


@contextlib.contextmanager
def installed(sides: Sequence[Side], steps: Sequence[Step]) -> Iterator[None]:
    """The sites obey whichever execution is in force; weights that a side needs are stacked before."""
    live = sides[0].replay.live
    for side in sides:
        if side.module is None:
            for site in live.sites:
                site.prepare(side.execution(steps[0]))
    with live.prepared(sides[0].execution(steps[0])):
        yield


def _forcible(ids: np.ndarray) -> np.ndarray:
    """Decisions in the type that models use; a row that never got to an experts layer takes expert 0 where a strategy runs it all the same."""
    if ids.dtype == bool:
        return ids
    return np.where(ids < 0, 0, ids).astype(np.int64) if ids.ndim == 2 else ids.astype(np.int64)


def _has_nan(out: Any) -> bool:
    parts = (
        out.values()
        if isinstance(out, Mapping)
        else out
        if isinstance(out, (tuple, list))
        else [out]
    )
    return any(
        isinstance(t, torch.Tensor) and t.is_floating_point() and bool(t.isnan().any())
        for t in parts
    )


@contextlib.contextmanager
def evaluating(model: torch.nn.Module | None) -> Iterator[None]:
    """In evaluation mode, and as before afterwards. The garbage collector, too, is left as it was."""
    training = model is not None and model.training
    collecting = gc.isenabled()
    try:
        if model is not None:
            model.eval()
        yield
    finally:
        if model is not None:
            model.train(training)
        if not collecting:
            gc.disable()
