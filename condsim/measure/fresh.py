"""Measure a trace in fresh processes: whole steps, or every operator by segment.

The model is rebuilt in each process from the trace's spec. This module needs no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Unpack

import pandas as pd

from condsim.cost.cpu import compiled_graphs
from condsim.errors import CondsimError
from condsim.hardware import HardwareProfile, this_machine
from condsim.measure import yardsticks
from condsim.measure.plan import (
    Plan,
    ProcessOptions,
    Progress,
    SegmentOptions,
    at_least_one,
    plan_fields,
    require_forwards,
)
from condsim.measure.processes import Processes, Result, processes_for
from condsim.trace import Trace
from condsim.trace.read import load

SEGMENT_DEFAULTS: SegmentOptions = {"baselines": ("same-params",), "pairs": 36, "steps": 3}


def measure(
    trace: Trace | str | Path,
    strategies: str | Sequence[str] | None = None,
    batches: Sequence[int] | None = None,
    *,
    processes: int = 3,
    progress: Progress | None = None,
    **options: Unpack[ProcessOptions],
) -> Trace:
    """The trace with timings from fresh processes on this machine.

    Each process measures every case, so that cases can be compared.

    trace: a trace or its folder (which is not written to). strategies: names, None for the captured
    one. batches: units a step, None for the captured one. processes: how many; one that turns out
    noisy is run once more, and both are kept. progress: called with (what, done, of how many).
    options: fields of `condsim.measure.plan.Plan`: baselines (None for same-params and same-flops),
    phase (None for all there are), protocol (a name in `condsim.protocols`; None for "loop" where
    one step was captured, else "repeat"), pairs (30: at least so many a case and process), steps
    (6), seed, decisions ("natural" or "trace"), device ("cuda" for a GPU,
    tested on CPUs only so far), threads (1) and runtime ("compiled" for torch.compile, where a
    graph ends at each site).
    Raises CondsimError for a trace without a spec, a model that does not decide as the trace says,
    and bad arguments.
    """
    opened = open_with_spec(trace)
    at_least_one("processes", processes)
    machine = this_machine(options.get("threads", 1), opened.dtype)
    fields = plan_fields(options, ProcessOptions, strategies)
    plan = fresh_plan(fields, batches, machine)
    if plan.compiles:
        require_forwards(opened, "runtime 'compiled'")
    if plan.compiles and machine is not None:
        compiled_graphs.check(machine)
    with processes_for(opened, progress) as fresh:
        results = run_all(fresh, plan, processes)
    table = as_measurements(results, next_process(opened))
    profile = opened.profile or machine
    if plan.compiles:  # an older profile may know no graphs
        profile = machine or opened.profile
    return opened.with_measurements(table, profile)


def measure_segments(
    trace: Trace | str | Path,
    strategies: str | Sequence[str] | None = None,
    batches: Sequence[int] | None = None,
    *,
    processes: int = 1,
    progress: Progress | None = None,
    **options: Unpack[SegmentOptions],
) -> Trace:
    """The trace with times by segment and operator from fresh processes on this machine.

    Those of the same case on the same machine are replaced. What is timed, and how:
    `condsim.measure.segments`. Arguments are those of `measure`.
    options: baselines (same-params alone), phase (None for all there are), pairs (36 with the
    profiler, and as many without), steps (3) and seed.
    Raises CondsimError as `measure` does.
    """
    opened = open_with_spec(trace)
    require_forwards(opened, "by segment")
    at_least_one("processes", processes)
    machine = this_machine(1, opened.dtype)
    fields = plan_fields({**SEGMENT_DEFAULTS, **options}, SegmentOptions, strategies)
    plan = fresh_plan(fields, batches, machine)
    tables: list[pd.DataFrame] = []
    with processes_for(opened, progress, by_segment=True) as fresh:
        for number in range(processes):
            ordered = with_seed(plan, number)
            result = fresh.run(ordered, number, processes)
            tables.append(result.table.assign(process=number))
    segments = pd.concat(tables, ignore_index=True)
    return opened.with_segments(segments, opened.profile or machine)


def open_with_spec(trace: Trace | str | Path) -> Trace:
    """The trace, read if a folder is given.

    Raises CondsimError if no spec rebuilds its model, and where no decisions say what to run.
    """
    opened = trace if isinstance(trace, Trace) else load(trace)
    opened.require_decisions()
    if opened.header.provenance.spec is None:
        raise CondsimError(
            f"trace {opened.name!r} has no spec that rebuilds its model, so no fresh process can "
            "time it; only condsim.capture(model, inputs, measure=True) can, in the process that "
            "has the model"
        )
    return opened


def fresh_plan(
    fields: dict[str, Any], batches: Sequence[int] | None, machine: HardwareProfile | None
) -> Plan:
    """The plan of a fresh process. fields: of `Plan`. machine: the calibration of this machine."""
    batch_sizes: list[int | None] = list(batches) if batches else [None]
    yardstick_s = machine.yardstick_s if machine else None
    return Plan(batch_sizes=batch_sizes, where="fresh process", yardstick_s=yardstick_s, **fields)


def with_seed(plan: Plan, process: int) -> Plan:
    """The plan of one of several processes: each orders its pairs in its own way."""
    return replace(plan, seed=plan.seed + process)


def run_all(fresh: Processes, plan: Plan, count: int) -> list[Result]:
    """So many processes, and once more those that turned out noisy."""
    results = []
    for number in range(count):
        ordered = with_seed(plan, number)
        results.append(fresh.run(ordered, number, count))
    noisy = []
    for number, ratio in enumerate(yardstick_ratios(results)):
        if ratio > yardsticks.NOISY:
            noisy.append(number)
    total = count + len(noisy)
    for number in noisy:
        again = with_seed(plan, count + number)
        results.append(fresh.run(again, len(results), total))
    return results


def yardstick_ratios(results: Sequence[Result]) -> list[float]:
    """By how much the yardsticks of each process were slower than the fastest of all."""
    readings: list[yardsticks.Reading] = []
    for result in results:
        readings += result.readings
    fastest = yardsticks.best(readings)
    return [yardsticks.ratio(result.readings, fastest) for result in results]


def as_measurements(results: Sequence[Result], first_process: int) -> pd.DataFrame:
    """Rows of `Trace.measurements`. first_process: the number of the first process."""
    tables = []
    process = first_process
    ratios = yardstick_ratios(results)
    for result, ratio in zip(results, ratios, strict=True):
        table = result.table.assign(process=process, yardstick_ratio=ratio)
        tables.append(table)
        process += 1
    return pd.concat(tables, ignore_index=True)


def next_process(trace: Trace) -> int:
    """The number of the first process that is not yet in a trace's measurements."""
    if trace.measurements.empty:
        return 0
    return int(trace.measurements["process"].max()) + 1
