"""Run a case as a strategy says, under the recorder, and put beside it what its program gives for the same decisions."""

from __future__ import annotations

import functools
import itertools
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from condsim.capture.observe import observe
from condsim.capture.probe import execution_for, key, record_decode, rows_per_site
from condsim.live.execution import Execution
from condsim.live.inputs import as_batches
from condsim.live.model import LiveModel
from condsim.lower import Call, Lowering, StepRows, peak_bytes
from condsim.record.nest import RunScope, guarded, tree
from condsim.record.recorder import Recorder
from condsim.steps.rebatch import rebatch, site_rules
from condsim.strategies import name_of
from condsim.trace import Trace
from gates.models import case

UNSEEN = {
    "1": ((1, 17), (1, None)),
    "n": ((7, 12), (16, None)),
}  # with and without a sequence; none is a size that programs are fitted to


@functools.cache
def live(name: str) -> LiveModel:
    """The case's model with its sites, after one look at its data."""
    model = LiveModel.of(case(name).model)
    observe(model, as_batches(case(name).inputs[:1]))
    return model


def regimes(trace: Trace) -> list[str]:
    """The regimes that a trace has programs of."""
    return sorted({k.rpartition("/")[2] for k in trace.programs})


def flat(scope: RunScope) -> list[tuple[Any, ...]]:
    """A recording in executed order, in the form of `Call.signature`."""
    return [
        (
            n.name,
            tuple(t.shape for t in n.inputs),
            tuple(t.shape for t in n.outputs),
            tuple(t.weight for t in n.inputs),
            guards,
            n.sync,
        )
        for n, guards in guarded(scope)
    ]


@dataclass(frozen=True)
class Pair:
    """One step twice: as recorded and as the program gives it."""

    what: str
    recorder: Recorder
    recorded: list[tuple[Any, ...]]
    calls: list[Call]

    @property
    def lowered(self) -> list[tuple[Any, ...]]:
        return [c.signature() for c in self.calls]

    def assert_same_order(self) -> None:
        """Operator by operator, with zero tolerance."""
        for at, (a, b) in enumerate(itertools.zip_longest(self.recorded, self.lowered)):
            assert a == b, f"{self.what}: operator {at} was recorded as {a}, the program gives {b}"

    def assert_conforms(self) -> None:
        """As a multiset a segment, host synchronisations, peak memory."""
        recorded, lowered = Counter(self.recorded), Counter(self.lowered)
        assert recorded == lowered, (
            f"{self.what}: recorded only {list(recorded - lowered)[:2]}, lowered only {list(lowered - recorded)[:2]}"
        )
        assert sum(c.op.sync for c in self.calls) == sum(s[-1] for s in self.recorded), (
            f"{self.what}: host synchronisations"
        )
        assert peak_bytes(self.calls) == self.recorder.peak_bytes, f"{self.what}: peak bytes"


def pair(
    trace: Trace,
    name: str,
    assignment: dict[str, str],
    rows: StepRows,
    recorder: Recorder,
    regime: str,
) -> Pair:
    """Lower `rows` (one step) and nest what was recorded."""
    program = trace.programs[key(assignment, regime)]
    calls = Lowering(program, site_rules(trace), assignment, rows).sequence()
    what = f"{name}, {key(assignment, regime)}, {int(rows.units[0])} units of {int(rows.seq[0])}"
    return Pair(what, recorder, flat(tree(recorder, dict(program.periods))), calls)


def step_rows(trace: Trace, execution: Execution, units: int, seq: int, total: int) -> StepRows:
    """Forced decisions of one step, summed up as rebatching sums up those of a trace."""
    counts = {}
    for site in trace.sites:
        assert execution.forced is not None
        ids = execution.forced[site.name]
        if site.mechanism == "sparse_activation":
            counts[site.name] = ids.sum(0)[None]
            continue
        here = np.ones(len(ids), bool)
        for parent, choice in site.parents:
            here &= execution.forced[parent] == choice
        counts[site.name] = np.bincount(ids[here].reshape(-1), minlength=site.branches)[None]
    one = [np.array([v]) for v in (units, seq, total)]
    return StepRows(
        *one, counts, {s: k[None] for s, k in execution.rows_kept.items()}, trace.header.costliest
    )


@functools.cache
def forced_pairs(name: str, strategy: str) -> list[Pair]:
    """Random decisions at sizes that nothing was fitted to, in every regime: each guard full, empty and in between."""
    trace, model = case(name).trace, live(name)
    batch = as_batches(case(name).inputs)[0]
    per_position = {s.name: s.per_position for s in trace.sites}
    found = []
    assignment = assignments(name)[strategy]
    for regime, run in itertools.product(
        regimes(trace), (2, 4, 7) if batch.seq is None else (2, 4)
    ):
        units, seq = UNSEEN[regime[-1]][batch.seq is None]
        decode = regime.startswith("decode")
        positions = 1 if decode else seq
        execution = execution_for(
            assignment,
            model.infos,
            rows_per_site(model.infos, per_position, units, positions),
            1000 + run,
            dict(trace.header.costliest),
        )
        execution.room = None
        small = batch.resized(units, seq)
        recorder = (
            record_decode(model, small, execution) if decode else model.record(small, execution)
        )
        total = 1 if seq is None else seq + 1 if decode else seq
        found.append(
            pair(
                trace,
                name,
                assignment,
                step_rows(trace, execution, units, positions or 1, total),
                recorder,
                regime,
            )
        )
    return found


@functools.cache
def assignments(name: str) -> dict[str, dict[str, str]]:
    """Every way to run the case, by name: the strategies and both baselines."""
    return {name_of(a): a for a in live(name).assignments()}


def own_pairs(trace: Trace, name: str, strategy: str) -> list[Pair]:
    """The trace's own decisions on its own inputs: at the captured batch, at other sizes, and alone."""
    model, assignment = live(name), assignments(name)[strategy]
    batches = as_batches(case(name).inputs)
    found = []
    for batch in (1, 3, 2 * batches[0].units):
        steps = rebatch(trace, batch, phase="prefill")
        first = np.concatenate([[0], np.cumsum(trace.steps["units"])[:-1]])
        units_of = np.concatenate(
            [
                np.arange(first[i], first[i] + trace.steps["units"][i])
                for i in trace.steps.index[trace.steps["phase"] == "prefill"]
            ]
        )
        for step in (0, len(steps.rows) - 1):
            at = slice(step * batch, (step + 1) * batch)
            forced, weights = {}, {}
            for site in trace.sites:
                per_unit = int(trace.rows_per_unit(site)[0])
                starts = np.concatenate([[0], np.cumsum(trace.rows_per_unit(site))])
                rows = np.concatenate(
                    [np.arange(starts[u], starts[u] + per_unit) for u in units_of[at]]
                )
                decided = trace.decisions(site.name)
                forced[site.name] = (
                    decided.ids[rows].astype(np.int64)
                    if site.mechanism != "sparse_activation"
                    else decided.ids[rows]
                )
                if decided.weights is not None:
                    weights[site.name] = decided.weights[rows]
            one = steps.rows.step(step)
            execution = Execution(
                dict(assignment),
                forced,
                weights,
                rows_kept={s: k[0] for s, k in one.kept.items()},
                costliest=dict(trace.header.costliest),
            )
            joined = join(name, at)
            recorder = model.record(joined, execution)
            found.append(pair(trace, name, assignment, one, recorder, steps.regime))
    return found


def join(name: str, at: slice) -> Any:
    """Units `at` of the case's prefill inputs as one batch."""
    inputs = case(name).inputs
    if isinstance(inputs[0], dict):
        return as_batches({k: torch.cat([i[k] for i in inputs])[at] for k in inputs[0]})[0]
    return as_batches(torch.cat(inputs)[at])[0]


__all__ = ["Pair", "assignments", "forced_pairs", "live", "own_pairs", "regimes"]
