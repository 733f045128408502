"""Measure a live model in the calling process."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

import torch

from condsim.hardware import this_machine
from condsim.live.inputs import Batch
from condsim.live.model import LiveModel
from condsim.measure import yardsticks
from condsim.measure.fresh import next_process
from condsim.measure.plan import LiveOptions, Plan, Progress, plan_fields
from condsim.measure.protocol import ignore_progress, measure_cases
from condsim.trace import Trace


def measure_live(
    trace: Trace,
    live: LiveModel,
    batches: list[Batch],
    *,
    strategies: str | Sequence[str] | None = None,
    module: torch.nn.Module | None = None,
    batch: int | None = None,
    progress: Progress = ignore_progress,
    **options: Unpack[LiveOptions],
) -> Trace:
    """The trace with timings of the live model in this process.

    batches: the inputs that the trace was captured on. strategies: names for the mechanisms that
    have them, the others run as captured; None: all as captured. module: a dense module, measured
    as one more baseline on the same inputs. batch: units a step, None for the captured one.
    options: fields of `condsim.measure.plan.Plan`: baselines, phase, protocol, pairs, steps, seed,
    decisions, threads, runtime, where.
    Raises CondsimError for a trace without decisions, inputs or decisions that are not the
    trace's, an unknown name, and outputs that are NaN.
    """
    trace.require_decisions()
    fields: dict[str, Any] = plan_fields(options, LiveOptions, strategies)
    threads = options.get("threads", 1)
    machine = this_machine(threads, trace.dtype)
    undisturbed_s = machine.yardstick_s if machine else None
    plan = Plan(batch_sizes=[batch], yardstick_s=undisturbed_s, **fields)
    measured = measure_cases(trace, live, batches, plan, module, progress)
    fastest = yardsticks.best(measured.readings)
    ratio = yardsticks.ratio(measured.readings, fastest)
    process = next_process(trace)
    table = measured.table(process, ratio)
    return trace.with_measurements(table, trace.profile or machine)
