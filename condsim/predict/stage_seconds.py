"""How long each stage of one rank takes, from one exchange with other ranks to the next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from condsim.engine import closed_form
from condsim.engine.closed_form import Issued
from condsim.lowered import Call
from condsim.parallel.sharding import Stages
from condsim.predict.side import Side


def _stage_of_entries(side: Side, stages: Stages) -> np.ndarray:
    """The stage of each entry of a side's kernels, int [entries]."""
    found = []
    for entry in side.cost.kernels.entries:
        found.append(_stage_of(side, entry.scope, entry.node, stages))
    return np.array(found)


def _stage_of(side: Side, scope: int, node: int, stages: Stages) -> int:
    """The stage of an operator. scope: index of its calls."""
    calls = side.lowered.scopes[scope]
    while calls.parent >= 0:
        node, calls = calls.placed.loop, side.lowered.scopes[calls.parent]
    return stages.of_node[node]


def summed(side: Side, stages: Stages, seconds: np.ndarray) -> np.ndarray:
    """Stages where host and device are one. What no kernel has alone (weights and code that were
    evicted, new sizes) counts where weights are read.

    seconds: of each step, with all of that, float [n].
    """
    kernels = side.cost.kernels
    labels = _stage_of_entries(side, stages).tolist()
    of_kernels = _by_stage(kernels.by_label(labels, kernels.seconds), stages, len(seconds))
    read = kernels.by_label(labels, kernels.column("weight_bytes"))
    share = _by_stage(read, stages, len(seconds)) + 1e-9
    rest = seconds - of_kernels.sum(1)
    of_rest = rest[:, None] * share / share.sum(1, keepdims=True)
    above_zero: np.ndarray = np.maximum(of_kernels + of_rest, 0.0)
    return above_zero


def _by_stage(by_label: Any, stages: Stages, steps: int) -> np.ndarray:
    table = np.zeros((steps, stages.slots))
    for stage, values in by_label.items():
        table[:, stage] = values
    return table


def clocked(side: Side, stages: Stages) -> np.ndarray:
    """Stages where the host runs ahead of the device, up to the exchange that ends a stage."""
    if not side.loops:
        return _finish_of_stages(side, *side.all_steps, stages)
    of_steps = []
    for step in range(side.cost.steps):
        issued, calls = side.model.issued(side.cost.kernels, step)
        of_steps.append(_finish_of_stages(side, issued, calls, stages))
    return np.stack(of_steps)


def _finish_of_stages(
    side: Side, issued: Issued, calls: Sequence[Call], stages: Stages
) -> np.ndarray:
    """When host and device are done with each stage that begins at 0, float [..., stages]."""
    stage_of_calls = []
    for call in calls:
        _, node = call.place
        stage_of_calls.append(_stage_of(side, call.scope, node, stages))
    of_call = np.array(stage_of_calls)
    table = np.zeros((*issued.device_s.shape[:-1], stages.slots))
    for stage in range(stages.slots):
        here = np.flatnonzero(of_call == stage)
        if len(here):
            table[..., stage] = _finish(issued, here)
    return table


def _finish(issued: Issued, here: np.ndarray) -> np.ndarray:
    columns = (issued.host_s, issued.device_s, issued.stream, issued.sync)
    _, _, finish = closed_form.run(Issued(*[column[..., here] for column in columns]))
    return finish
