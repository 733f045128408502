"""How many seconds each effect of a CPU's cost model adds to a step, for both sides of a case.

The seconds add up, so that a prediction without one of the effects is a subtraction.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from condsim.cost.cpu.device import CpuModel
from condsim.cost.device import Target
from condsim.cost.issued import FirstStep, code_distances
from condsim.cost.step_cost import StepCost
from condsim.predict.both_sides import Walk
from condsim.predict.choose import choose_strategies
from condsim.predict.side import Side
from condsim.predict.simulation import Simulation
from condsim.predict.timed import TimedSide
from condsim.runtimes import choose_runtime
from condsim.scenario import Scenario
from condsim.study.cases import measured_cases
from condsim.study.compare import counting_rows
from condsim.trace import Trace

AMONG = "calls among other operators"
PYTHON = "Python between operators"
ACTIVATIONS = "distant activations"
CODE = "code evicted by data"
NEW_SHAPES = "new shapes"
WEIGHTS = "residency of weights"
EFFECTS = (AMONG, PYTHON, ACTIVATIONS, CODE, NEW_SHAPES, WEIGHTS)
SIDES = {"conditional": "predicted_latency_s", "baseline": "predicted_baseline_s"}
"""Side → the column of `condsim.compare` that has its seconds."""


def column(side: str, effect: str) -> str:
    """Return the name of the column that has the seconds of an effect."""
    return f"{side}: {effect}"


def with_effects(table: pd.DataFrame, traces: list[Trace]) -> pd.DataFrame:
    """Return a table of `condsim.compare` with columns for the seconds of each effect.

    traces: those that were compared, in the same order.
    """
    rows = []
    for trace in traces:
        for simulation in _simulations(trace):
            rows.append(_seconds(simulation))
    return pd.concat([table, pd.DataFrame(rows, index=table.index)], axis=1)


def without(table: pd.DataFrame, effect: str) -> pd.DataFrame:
    """Return the table as it would be without an effect."""
    changed = table.copy()
    for side, seconds in SIDES.items():
        changed[seconds] = table[seconds] - table[column(side, effect)]
    speedup = changed["predicted_baseline_s"] / changed["predicted_latency_s"]
    changed["predicted_speedup"] = speedup
    changed["error"] = speedup / table["measured_speedup"] - 1
    return changed


def _simulations(trace: Trace) -> Iterator[Simulation]:
    """Yield the simulation of each measured case, in the order of `condsim.compare`."""
    profile = trace.profile
    assert profile is not None
    for case, measured in measured_cases(trace.measurements):
        counted = counting_rows(measured, case, profile)["step"].unique()
        steps = tuple(sorted(counted.tolist()))
        scenario = Scenario(
            strategy=case.strategy,
            batch=case.batch,
            baseline=case.baseline,
            runtime=case.runtime,
            phase=case.phase,
            protocol=case.protocol,
            steps=steps,
        )
        runtime = choose_runtime(case.runtime, profile)
        parameters = trace.header.provenance.parameters
        target = Target(profile, profile.dtype, runtime, parameters)
        yield Simulation(trace, target, scenario, choose_strategies(trace, case.strategy))


def _seconds(simulation: Simulation) -> dict[str, float]:
    both = Walk(simulation).both_sides
    timed = {"conditional": both.conditional, "baseline": both.baseline}
    sides = {"conditional": simulation.conditional, "baseline": simulation.baseline}
    found = {}
    for side in SIDES:
        of_side = _of_side(sides[side], timed[side])
        for effect, seconds in of_side.items():
            found[column(side, effect)] = seconds
    return found


def _of_side(side: Side, timed: TimedSide) -> dict[str, float]:
    """Return effect → its seconds in a step, the mean over all steps."""
    cost, steps = side.cost, len(timed.seconds)
    return {
        **_of_host(side),
        ACTIVATIONS: _far_seconds(cost),
        CODE: float(cost.evicted_code_s.mean()),
        NEW_SHAPES: timed.new_size_s / steps,
        WEIGHTS: timed.evicted_s / steps,
    }


def _of_host(side: Side) -> dict[str, float]:
    """Return the seconds that calls cost among other operators, and Python between them."""
    model, kernels = side.model, side.cost.kernels
    assert isinstance(model, CpuModel)
    entries, first = kernels.layout.entries, kernels.lowered.outline.first_step
    assert isinstance(first, FirstStep)
    of_calls, different = code_distances(first.order)
    distance = dict(zip(first.order.places, of_calls, strict=True))
    runs = kernels.by_entry(np.ones(len(kernels.entry))) / kernels.steps
    ops = [entry.op for entry in entries]
    distinct = [distance.get(entry.place, different) for entry in entries]
    python = np.array([model.python_seconds(op) for op in ops])
    return {
        AMONG: float(runs @ model.among_seconds(ops, distinct)),
        PYTHON: float(runs @ python),
    }


def _far_seconds(cost: StepCost) -> float:
    kernels = cost.kernels
    first = kernels.lowered.outline.first_step
    assert isinstance(first, FirstStep)
    far = np.broadcast_to(first.far_of(kernels.layout), len(kernels.layout.entries))
    return float(kernels.per_step(kernels.column("moved_bytes") * far[kernels.entry]).mean())
