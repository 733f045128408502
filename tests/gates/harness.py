"""Run a case under the recorder, and lower its program for the same decisions beside it."""

from __future__ import annotations

import functools
import itertools
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from condsim.capture.decode_sites import with_decode_sites
from condsim.capture.observe import observe
from condsim.capture.probe import execution_for, key, rows_per_site
from condsim.capture.sizes import learn_sizes
from condsim.live.decode import record_decode
from condsim.live.execution import Execution
from condsim.live.inputs import Batch, as_batches
from condsim.live.model import LiveModel
from condsim.lower import lower
from condsim.lowered import Call
from condsim.mechanisms import MECHANISMS
from condsim.mechanisms.token_exit import GOES_ON
from condsim.mechanisms.tokens import STAYS
from condsim.predict.peak_memory import peak_bytes
from condsim.program.regime import Regime
from condsim.record.nest import RunScope, guarded, tree
from condsim.record.recorder import Recorder
from condsim.steps.extents import Steps
from condsim.steps.rebatch import rebatch, site_rules
from condsim.strategies import name_of
from condsim.trace import Site, Trace
from gates.models import DECODER, case

UNSEEN_SEQUENCES = {True: (1, 17), False: (7, 12)}
UNSEEN_UNITS = {True: 1, False: 16}
"""Sizes that no program is fitted to, by whether the batch is one unit."""

SEQUENCE_RUNS = (2, 4)
UNIT_RUNS = (2, 4, 7)
"""Numbers of runs, which vary the random decisions."""

Signature = tuple[Any, ...]


@functools.cache
def live(name: str) -> LiveModel:
    """The case's model with its sites, after one look at its data."""
    model = LiveModel.of(case(name).model)
    first = as_batches(case(name).inputs[:1])
    if name == DECODER:
        with_decode_sites(model, first[0], learn_sizes(model, first[0]))
    else:
        observe(model, first)
    return model


def regimes(trace: Trace) -> list[Regime]:
    """The regimes that a trace has programs of."""
    names = {program.regime for program in trace.programs.values()}
    return [Regime.parse(name) for name in sorted(names)]


def flat(scope: RunScope) -> list[Signature]:
    """A recording in executed order, in the form of `Call.signature`."""
    signatures = []
    for op, guards in guarded(scope):
        inputs = tuple(t.shape for t in op.inputs)
        outputs = tuple(t.shape for t in op.outputs)
        weights = tuple(t.weight for t in op.inputs)
        signatures.append((op.name, inputs, outputs, weights, guards, op.sync))
    return signatures


@dataclass(frozen=True)
class Pair:
    """One step twice: as recorded and as the program gives it."""

    what: str
    recorder: Recorder
    recorded: list[Signature]
    calls: list[Call]

    @property
    def lowered(self) -> list[Signature]:
        return [call.signature() for call in self.calls]

    def assert_same_order(self) -> None:
        """Operator by operator, with zero tolerance."""
        both = itertools.zip_longest(self.recorded, self.lowered)
        for position, (recorded, lowered) in enumerate(both):
            assert recorded == lowered, (
                f"{self.what}: operator {position} was recorded as {recorded}, "
                f"the program gives {lowered}"
            )

    def assert_conforms(self) -> None:
        """As a multiset a segment, host synchronisations, peak memory."""
        recorded, lowered = Counter(self.recorded), Counter(self.lowered)
        assert recorded == lowered, (
            f"{self.what}: recorded only {list(recorded - lowered)[:2]}, "
            f"lowered only {list(lowered - recorded)[:2]}"
        )
        recorded_syncs = sum(signature[-1] for signature in self.recorded)
        lowered_syncs = sum(call.op.sync for call in self.calls)
        assert lowered_syncs == recorded_syncs, f"{self.what}: host synchronisations"
        assert peak_bytes(self.calls) == self.recorder.peak_bytes, f"{self.what}: peak bytes"


def pair(
    name: str,
    assignment: dict[str, str],
    step: Steps,
    recorder: Recorder,
    regime: Regime | str,
    trace: Trace,
) -> Pair:
    """Lower one step and nest what was recorded."""
    program_key = key(assignment, regime)
    program = trace.programs[program_key]
    calls = lower(program, site_rules(trace), assignment, step).sequence()
    units, seq = int(step.extents["batch"][0]), int(step.extents["seq"][0])
    what = f"{name}, {program_key}, {units} units of {seq}"
    return Pair(what, recorder, flat(tree(recorder, dict(program.periods))), calls)


def step_rows(trace: Trace, execution: Execution, units: int, seq: int, total: int) -> Steps:
    """Forced decisions of one step, summed up as rebatching sums up those of a trace."""
    assert execution.forced is not None
    counts = {}
    lengths, owed = {}, {}
    for site in trace.sites:
        ids = execution.forced[site.name]
        if MECHANISMS[site.mechanism].selects_blocks:
            counts[site.name] = ids.sum(0)[None]
            continue
        arrives = np.ones(len(ids), bool)
        for parent, choice in site.parents:
            arrives &= execution.forced[parent] == choice
        if MECHANISMS[site.mechanism].keeps_tokens:
            stays = arrives & (ids == STAYS)
            lengths[site.name] = stays.reshape(1, units, -1).sum(2)
        if MECHANISMS[site.mechanism].owes:
            goes_on = arrives & (ids == GOES_ON)
            owed[site.name] = (goes_on * execution.owed[site.name])[None]
        taken = ids[arrives].reshape(-1)
        counts[site.name] = np.bincount(taken, minlength=site.branches)[None]
    kept = {name: branches[None] for name, branches in execution.rows_kept.items()}
    extents = {"batch": np.array([units]), "seq": np.array([seq]), "total": np.array([total])}
    return Steps(extents, counts, kept, trace.header.costliest, lengths=lengths, owed=owed)


@functools.cache
def assignments(name: str) -> dict[str, dict[str, str]]:
    """Every way to run the case, by name: the strategies and both baselines."""
    return {name_of(assignment): assignment for assignment in live(name).assignments()}


@functools.cache
def forced_pairs(name: str, strategy: str) -> list[Pair]:
    """Random decisions at sizes that nothing was fitted to, in every regime.

    Each guard is full, empty and in between.
    """
    trace = case(name).trace
    batch = as_batches(case(name).inputs)[0]
    runs = UNIT_RUNS if batch.seq is None else SEQUENCE_RUNS
    pairs = []
    for regime in regimes(trace):
        for run in runs:
            pairs.append(_forced_pair(name, strategy, batch, regime, run))
    return pairs


def _forced_pair(name: str, strategy: str, batch: Batch, regime: Regime, run: int) -> Pair:
    trace, model = case(name).trace, live(name)
    assignment = assignments(name)[strategy]
    if batch.seq is None:
        units, positions = UNSEEN_UNITS[regime.single], None
        small = batch.resized(units)
        seq, total = 1, 1
    else:
        units, positions = UNSEEN_SEQUENCES[regime.single]
        small = batch.resized(units, positions)
        seq, total = positions, positions
        if regime.decodes:
            seq, total = 1, positions + 1
    unit_rows = {site.name: site.unit_rows for site in trace.sites}
    rows = rows_per_site(model.infos, unit_rows, units, seq)
    costliest = dict(trace.header.costliest)
    execution = execution_for(assignment, model.infos, rows, 1000 + run, costliest, units)
    execution.room = None
    if regime.decodes:
        recorder = record_decode(model, small, execution)
    else:
        recorder = model.record(small, execution)
    one = step_rows(trace, execution, units, seq, total)
    return pair(name, assignment, one, recorder, regime, trace)


def own_pairs(trace: Trace, name: str, strategy: str) -> list[Pair]:
    """The trace's own decisions on its own inputs: at the captured batch, at others, and alone."""
    captured = as_batches(case(name).inputs)[0].units
    pairs = []
    for batch in (1, 3, 2 * captured):
        steps = len(rebatch(trace, batch, phase="prefill").steps)
        for step in (0, steps - 1):
            pairs.append(_own_pair(trace, name, strategy, batch, step))
    return pairs


def _own_pair(trace: Trace, name: str, strategy: str, batch: int, step: int) -> Pair:
    """One step of `batch` units. step: its number."""
    assignment = assignments(name)[strategy]
    steps = rebatch(trace, batch, phase="prefill")
    part = slice(step * batch, (step + 1) * batch)
    units = _prefill_units(trace)[part]
    forced, weights = {}, {}
    for site in trace.sites:
        rows = _rows_of_units(trace, site, units)
        decided = trace.decisions(site.name)
        ids = decided.ids[rows]
        selects_blocks = MECHANISMS[site.mechanism].selects_blocks
        forced[site.name] = ids if selects_blocks else ids.astype(np.int64)
        if decided.weights is not None:
            weights[site.name] = decided.weights[rows]
    one = steps.steps.step(step)
    kept = {site_name: branches[0] for site_name, branches in one.kept.items()}
    costliest = dict(trace.header.costliest)
    execution = Execution(dict(assignment), forced, weights, rows_kept=kept, costliest=costliest)
    recorder = live(name).record(join(name, part), execution)
    return pair(name, assignment, one, recorder, steps.regime, trace)


def _prefill_units(trace: Trace) -> np.ndarray:
    """Numbers of the units of the prefill steps among all units of the trace."""
    sizes = trace.steps["units"].to_numpy()
    ends = np.cumsum(sizes)
    prefill = np.flatnonzero(trace.steps["phase"] == "prefill")
    return np.concatenate([np.arange(ends[i] - sizes[i], ends[i]) for i in prefill])


def _rows_of_units(trace: Trace, site: Site, units: np.ndarray) -> np.ndarray:
    """Numbers of the rows of some units in the site's decisions; all units have as many rows."""
    per_unit = trace.rows_per_unit(site)
    starts = np.concatenate([[0], np.cumsum(per_unit)])
    rows = int(per_unit[0])
    return np.concatenate([np.arange(starts[unit], starts[unit] + rows) for unit in units])


def join(name: str, units: slice) -> Batch:
    """Some units of the case's prefill inputs as one batch."""
    inputs = case(name).inputs
    if isinstance(inputs[0], dict):
        joined = {k: torch.cat([batch[k] for batch in inputs])[units] for k in inputs[0]}
        return as_batches(joined)[0]
    return as_batches(torch.cat(inputs)[units])[0]


__all__ = ["Pair", "assignments", "forced_pairs", "live", "own_pairs", "regimes"]
