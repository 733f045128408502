"""A trace's steps as they really ran: the inputs behind them, and what their rows decided."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from condsim.errors import CondsimError
from condsim.live.decode import decode_step
from condsim.live.inputs import Batch
from condsim.live.model import LiveModel
from condsim.measure.step_cache import StepCache
from condsim.steps.rebatch import Cut, rebatch
from condsim.steps.sequences import sequence_of_units
from condsim.strategies import BASELINES, name_of
from condsim.trace import Trace
from condsim.trace.columns import SOURCE

Strategies = Mapping[str, str]
"""Mechanism → strategy."""
Caches = Callable[[Strategies], StepCache]
"""Gives what steps before leave under some strategies."""


@dataclass
class Captured:
    """A trace, the model that it was captured of, and the inputs.

    inputs: batches that hold the trace's units in captured order, cut in any way.
    """

    trace: Trace
    live: LiveModel
    inputs: list[Batch]
    _ids: dict[str, np.ndarray] = field(default_factory=dict, repr=False)

    def ids(self, site: str) -> np.ndarray:
        """All decisions of a site in row order, as `condsim.trace.Decisions.ids`."""
        if site not in self._ids:
            self._ids[site] = self.trace.decisions(site).ids
        return self._ids[site]


def _no_cache(_: Strategies) -> StepCache:
    return StepCache()


@dataclass(frozen=True)
class Step:
    """One step, ready to run.

    index: its place among the steps of `condsim.steps.rebatch`. ids: site → decisions of its rows.
    kept: site → rows (or blocks) that each branch keeps under same-flops, int [branches].
    cache_of: what the steps before it leave under the strategies that are in force.
    """

    index: int
    batch: Batch
    ids: Mapping[str, np.ndarray]
    kept: Mapping[str, np.ndarray]
    cache_of: Caches = _no_cache

    def cache(self, strategies: Strategies) -> dict[str, Any]:
        """Arguments that one call of the model uses up, under some strategies."""
        return self.cache_of(strategies).for_a_call()

    def call(self, model: torch.nn.Module, strategies: Strategies) -> Any:
        """The output of the model for this step."""
        return self.batch.call(model, **self.cache(strategies))


class Replay:
    """Steps of `batch` units of one phase, each made when it is first asked for.

    batch: None for the captured one. Raises CondsimError for what `rebatch` refuses, and where the
    inputs have fewer units than the trace.
    """

    def __init__(self, captured: Captured, batch: int | None, phase: str) -> None:
        self.captured = captured
        self.trace, self.live = captured.trace, captured.live
        self.phase = phase
        self.cut = rebatch(self.trace, batch, phase)
        self.inputs_of_units = source_units(self.trace)
        self._made: dict[int, Step] = {}
        self._require_all_units()

    def __len__(self) -> int:
        return len(self.cut.steps)

    def step(self, index: int) -> Step:
        """One step with its inputs; in the decode phase the tokens before it are run first."""
        if index not in self._made:
            self._made[index] = self._make(index)
        return self._made[index]

    def _require_all_units(self) -> None:
        needed = int(self.inputs_of_units.max()) + 1
        present = sum(batch.units for batch in self.captured.inputs)
        if present < needed:
            raise CondsimError(
                f"the inputs have {present} units where trace {self.trace.name!r} has {needed}; "
                "pass what it was captured on"
            )

    def _make(self, index: int) -> Step:
        units = units_of_step(self.trace, self.cut, index)
        batch = gather(self.captured.inputs, self.inputs_of_units[units])
        cache_of: Caches = _no_cache
        if self.phase == "decode":
            batch, cache_of = self._decoded_up_to(batch, index, units)
        ids = {}
        for site in self.trace.sites:
            ids[site.name] = self._ids_of(site.name, units)
        kept = {}
        for name, rows in self.cut.steps.kept.items():
            kept[name] = rows[index]
        return Step(index, batch, ids, kept, cache_of)

    def _decoded_up_to(self, prefix: Batch, index: int, units: np.ndarray) -> tuple[Batch, Caches]:
        """The batch of one decode step, and the caches that it starts from.

        units: unit-steps of the step. Where rows owe, the steps before it decide as in the trace,
        under the strategies in force, for these say what is left to do.
        """
        extents = self.cut.steps.extents
        past = int(extents["total"][index]) - int(extents["seq"][index])
        before = past - (prefix.seq or 0)
        step = decode_step(self.live, prefix, before)
        if not any(site.routing.owes for site in self.trace.sites):
            whole = StepCache(step.cache)
            return step.batch, lambda _: whole
        forced = self._decisions_before(units, before)
        made: dict[str, StepCache] = {}

        def cache_of(strategies: Strategies) -> StepCache:
            name = name_of(strategies)
            if name not in made:
                dense = set(strategies.values()) <= set(BASELINES)
                own = {} if dense else strategies
                ran = decode_step(self.live, prefix, before, own, forced)
                made[name] = StepCache(ran.cache)
            return made[name]

        return step.batch, cache_of

    def _decisions_before(self, units: np.ndarray, steps: int) -> list[dict[str, np.ndarray]]:
        """What some unit-steps' sequences decided in so many steps before, site by site."""
        sequence = self.inputs_of_units
        found = []
        for back in range(steps, 0, -1):
            earlier = [np.flatnonzero(sequence[:unit] == sequence[unit])[-back] for unit in units]
            of_sites = {}
            for site in self.trace.sites:
                of_sites[site.name] = self._ids_of(site.name, np.array(earlier)).astype(np.int64)
            found.append(of_sites)
        return found

    def _ids_of(self, site: str, units: np.ndarray) -> np.ndarray:
        """Decisions at a site of the rows of some unit-steps."""
        ids = self.captured.ids(site)
        rows = self.trace.rows_per_unit(self.trace.site(site))
        ends = np.cumsum(rows)
        starts = ends - rows
        of_units = []
        for unit in units:
            rows_of_unit = slice(starts[unit], ends[unit])
            of_units.append(ids[rows_of_unit])
        return np.concatenate(of_units)


def source_units(trace: Trace) -> np.ndarray:
    """The image or sequence behind each unit-step, counted in captured order, int [unit-steps].

    Decode steps follow the prefill of the same sequences.
    """
    return sequence_of_units(trace)[0]


def units_of_step(trace: Trace, cut: Cut, index: int) -> np.ndarray:
    """Unit-steps of a rebatched step, int [batch]: from its first one on, those of its size."""
    seq = cut.steps.extents["seq"][index]
    past = cut.steps.extents["total"][index] - seq
    captured = trace.steps
    of_this_size = (captured["seq"] == seq) & (captured["past"] == past)
    if SOURCE in captured:
        of_this_size &= captured[SOURCE] == cut.steps.extents[SOURCE][index]
    alike = (captured["phase"] == cut.phase) & of_this_size
    units_of_steps = captured["units"].to_numpy()
    alike_units = np.repeat(alike.to_numpy(), units_of_steps)
    members = np.flatnonzero(alike_units)
    start = int(np.searchsorted(members, cut.first_unit[index]))
    return members[start : start + cut.batch]


def gather(batches: Sequence[Batch], units: np.ndarray) -> Batch:
    """One batch of the given units, which are counted through several batches.

    What is no tensor of units is the first batch's. A whole batch is given as it is.
    """
    parts = _consecutive_parts(batches, units)
    first = parts[0]
    if len(parts) == 1:
        return first
    sizes = [part.units for part in parts]
    args: list[Any] = []
    for values in zip(*(part.args for part in parts), strict=True):
        args.append(_joined(values, sizes))
    kwargs: dict[str, Any] = {}
    for name in first.kwargs:
        of_parts = [part.kwargs[name] for part in parts]
        kwargs[name] = _joined(of_parts, sizes)
    targets = _joined([part.targets for part in parts], sizes)
    return replace(first, args=tuple(args), kwargs=kwargs, units=len(units), targets=targets)


def _consecutive_parts(batches: Sequence[Batch], units: np.ndarray) -> list[Batch]:
    """The units in order, cut where one does not follow the one before in the same batch."""
    sizes = [batch.units for batch in batches]
    starts = np.cumsum([0, *sizes])
    owner = np.searchsorted(starts, units, side="right") - 1
    place = units - starts[owner]
    skips = np.diff(units) != 1
    changes_batch = np.diff(owner) != 0
    cuts = np.flatnonzero(skips | changes_batch) + 1
    parts: list[Batch] = []
    for part in np.split(np.arange(len(units)), cuts):
        first, last = part[0], part[-1]
        batch = batches[owner[first]]
        start = int(place[first])
        stop = int(place[last]) + 1
        whole = stop - start == batch.units
        consecutive = batch if whole else batch.rows(start, stop)
        parts.append(consecutive)
    return parts


def _joined(values: Sequence[Any], sizes: Sequence[int]) -> Any:
    """One argument of several batches: tensors of units are joined, else the first one's is kept.

    sizes: units of each batch. What is joined can be trained on: no tensor of inference mode can.
    """
    first = values[0]
    if not isinstance(first, torch.Tensor) or first.ndim == 0:
        return first
    if any(len(value) != units for value, units in zip(values, sizes, strict=True)):
        return first
    with torch.inference_mode(False):
        return torch.cat(list(values))
