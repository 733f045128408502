"""The cases of a plan: each is a phase, a batch size, a strategy and a baseline."""

from __future__ import annotations

import contextlib
import gc
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import torch

from condsim.errors import CondsimError, unknown
from condsim.live.model import LiveModel
from condsim.live.training import Training, in_training
from condsim.measure.agreement import checked_steps
from condsim.measure.plan import DENSE_MODULE, Plan
from condsim.measure.replay import Captured, Replay, Step
from condsim.measure.sides import Side
from condsim.protocols import Protocol
from condsim.strategies import BASELINES, name_of
from condsim.timing.device import identity, the_device
from condsim.trace import Trace

Assignment = dict[str, str]
"""Mechanism → strategy."""


@dataclass(frozen=True)
class Workload:
    """What the conditional side runs in some cases: steps of a replay, under some strategies.

    protocol: what runs between two runs of a step.
    """

    replay: Replay
    strategies: Assignment
    steps: Sequence[Step]
    protocol: Protocol


@dataclass(frozen=True)
class Case:
    """A workload against one baseline. module: the dense module, if that is the baseline."""

    workload: Workload
    baseline: str
    plan: Plan
    module: torch.nn.Module | None = None

    def sides(self) -> tuple[Side, Side]:
        """The conditional side and its baseline."""
        replay = self.workload.replay
        strategies = self.workload.strategies
        forced = dict.fromkeys(strategies, self.baseline)
        conditional = Side(replay, strategies, self.plan)
        baseline = Side(replay, forced, self.plan, self.module)
        return conditional, baseline

    def columns(self) -> dict[str, Any]:
        """What the rows of the case have in common in `Trace.measurements` and `.segments`."""
        plan = self.plan
        replay = self.workload.replay
        device = the_device(plan.device)
        fingerprint = identity(device, plan.threads)
        now = datetime.now(UTC)
        return {
            "strategy": name_of(self.workload.strategies),
            "baseline": self.baseline,
            "phase": replay.phase,
            "batch": replay.cut.batch,
            "protocol": self.workload.protocol.name,
            "runtime": plan.runtime,
            "dtype": replay.trace.header.provenance.dtype,
            "threads": plan.threads,
            "where": plan.where,
            "fingerprint": json.dumps(fingerprint, sort_keys=True),
            "torch": torch.__version__,
            "taken": now.isoformat(timespec="seconds"),
        }


class Cases:
    """All cases of a plan. module: a dense module, measured as one more baseline.

    Raises CondsimError for a strategy that nothing in the model can run, and where the plan has the
    dense module as a baseline and there is none.
    """

    def __init__(
        self, captured: Captured, plan: Plan, module: torch.nn.Module | None = None
    ) -> None:
        self.captured = captured
        self.plan = plan
        self.module = module
        self.baselines = baselines_of(plan, module)
        self.assignments = assignments(captured.trace, captured.live, plan.strategies)
        self.phases = phases_of(captured.trace, plan)

    def __len__(self) -> int:
        replays = len(self.phases) * len(self.plan.batch_sizes)
        workloads = replays * len(self.assignments)
        return workloads * len(self.baselines)

    def workloads(self) -> Iterator[Workload]:
        """Every workload, its steps checked against the trace when it is asked for."""
        for phase in self.phases:
            protocol = self.plan.protocol_of(self.captured.trace, phase)
            for batch in self.plan.batch_sizes:
                replay = Replay(self.captured, batch, phase)
                for strategies in self.assignments:
                    steps = checked_steps(replay, strategies, self.plan, protocol)
                    yield Workload(replay, strategies, steps, protocol)

    def of(self, workload: Workload) -> list[Case]:
        """One case for each baseline."""
        cases = []
        for baseline in self.baselines:
            module = self.module if baseline == DENSE_MODULE else None
            cases.append(Case(workload, baseline, self.plan, module))
        return cases


def baselines_of(plan: Plan, module: torch.nn.Module | None) -> list[str]:
    """Names of the baselines: the plan's, and the dense module where there is one.

    Raises CondsimError where the plan has the dense module and there is none.
    """
    baselines = list(plan.baselines)
    if module is not None and DENSE_MODULE not in baselines:
        baselines.append(DENSE_MODULE)
    if module is None and DENSE_MODULE in baselines:
        raise CondsimError(
            "baseline 'module' needs the dense module: pass module= (capture: baseline=)"
        )
    return baselines


def phases_of(trace: Trace, plan: Plan) -> list[str]:
    """The phase that a plan names, or all that a trace has."""
    if plan.phase is not None:
        return [plan.phase]
    return list(dict.fromkeys(trace.steps["phase"]))


def assignments(
    trace: Trace, live: LiveModel, strategies: Sequence[str] | None
) -> list[Assignment]:
    """What runs under each named strategy; None: what was captured.

    A strategy of one mechanism leaves the other mechanisms as they were captured.
    Raises CondsimError for a name that nothing in the model can run.
    """
    captured = dict(trace.header.captured)
    if strategies is None:
        return [captured]
    possible = []
    for assignment in live.assignments():
        names = set(assignment.values())
        if not names <= set(BASELINES):
            possible.append(assignment)
    return [_assignment(name, possible, captured, trace.name) for name in strategies]


def _assignment(
    name: str, possible: Sequence[Mapping[str, str]], captured: Assignment, trace_name: str
) -> Assignment:
    by_name = {name_of(assignment): dict(assignment) for assignment in possible}
    if name in by_name:
        return by_name[name]
    offered: dict[str, set[str]] = {}
    for assignment in possible:
        for mechanism, strategy in assignment.items():
            offered.setdefault(strategy, set()).add(mechanism)
    if name not in offered:
        known = [*by_name, *offered]
        raise unknown("strategy", name, known, f"what can run {trace_name} here")
    mechanisms = offered[name] & captured.keys()
    return captured | dict.fromkeys(mechanisms, name)


@contextlib.contextmanager
def in_its_mode(model: torch.nn.Module | None, training: Training | None) -> Iterator[None]:
    """A model in evaluation mode, or in training mode where it is trained; afterwards as before."""
    with evaluating(model):
        if model is None or training is None:
            yield
            return
        with in_training(model):
            yield


@contextlib.contextmanager
def evaluating(model: torch.nn.Module | None) -> Iterator[None]:
    """A model in evaluation mode inside, and as before afterwards.

    The garbage collector, too, is left as it was: `condsim.timing.cases.quiet` switches it on.
    """
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
