"""A trace's steps as they really ran: the inputs behind each step's units, and the decisions that its rows must make again."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from condsim.capture.probe import start_decode
from condsim.errors import CondsimError
from condsim.live.execution import Execution
from condsim.live.inputs import Batch
from condsim.live.model import LiveModel
from condsim.steps.rebatch import Steps, rebatch
from condsim.trace import Decisions, Trace


@dataclass(frozen=True)
class Step:
    """One step, ready to run. index: its place in rebatch's steps. ids: site → decisions of its rows. kept: same-flops: what each branch keeps."""

    index: int
    batch: Batch
    ids: Mapping[str, np.ndarray]
    kept: Mapping[str, np.ndarray]
    more: Callable[[], dict[str, Any]] = dict
    """arguments that a call uses up (a cache), made anew for each"""


@dataclass
class Replay:
    """Steps of `batch` units of one phase with inputs from `batches`, which hold the trace's units in captured order, cut in any way."""

    trace: Trace
    live: LiveModel
    batches: list[Batch]
    batch: int | None
    phase: str
    steps: Steps = field(init=False)
    made: dict[int, Step] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.steps = rebatch(self.trace, self.batch, self.phase)
        self.sources = sources(self.trace)
        have = sum(b.units for b in self.batches)
        if have <= self.sources.max():
            raise CondsimError(
                f"the inputs have {have} units where trace {self.trace.name!r} has {self.sources.max() + 1}; pass what it was captured on"
            )
        self.decided = {s.name: _decided(self.trace, s.name) for s in self.trace.sites}

    def __len__(self) -> int:
        return len(self.steps.rows)

    def step(self, index: int) -> Step:
        """Step number `index` with its inputs; in the decode phase the tokens before it are run first."""
        if index not in self.made:
            units = units_of(self.trace, self.steps, index)
            batch, more = self._inputs(units, index)
            ids = {s.name: self._rows(s.name, units) for s in self.trace.sites}
            self.made[index] = Step(
                index, batch, ids, {n: k[index] for n, k in self.steps.rows.kept.items()}, more
            )
        return self.made[index]

    def _inputs(self, units: np.ndarray, index: int) -> tuple[Batch, Callable[[], dict[str, Any]]]:
        batch = gather(self.batches, self.sources[units])
        if self.phase != "decode":
            return batch, dict
        token, cache = start_decode(self.live, batch, Execution())
        past = int(self.steps.rows.total[index] - self.steps.rows.seq[index])
        for _ in range(past - (batch.seq or 0)):
            out = self.live.run(
                Batch((), {"input_ids": token}, batch.units, 1), Execution(), **cache
            )
            token = out.logits[:, -1:].argmax(-1)
        return Batch((), {"input_ids": token}, batch.units, 1), lambda: copy.deepcopy(cache)

    def _rows(self, site: str, units: np.ndarray) -> np.ndarray:
        ids = self.decided[site].ids
        per_unit = self.trace.rows_per_unit(self.trace.site(site))
        ends = np.cumsum(per_unit)
        return np.concatenate([ids[ends[u] - per_unit[u] : ends[u]] for u in units])


def _decided(trace: Trace, site: str) -> Decisions:
    key = ("decided", site)
    if key not in trace._cache:
        trace._cache[key] = trace.decisions(site)
    return trace._cache[key]  # type: ignore[no-any-return]


def sources(trace: Trace) -> np.ndarray:
    """The image or sequence behind each unit-step, counted in captured order, int [unit-steps]; decode steps follow their prefill."""
    found: list[np.ndarray] = []
    base = total = 0
    for phase, units in zip(trace.steps["phase"], trace.steps["units"].astype(int), strict=True):
        if phase != "decode":
            base, total = total, total + units
        found.append(base + np.arange(units))
    return np.concatenate(found)


def units_of(trace: Trace, steps: Steps, index: int) -> np.ndarray:
    """Unit-steps of a rebatched step, int [batch]: from its first one on, those of the same size."""
    captured = trace.steps["units"].to_numpy()
    alike = (trace.steps["phase"] == steps.phase) & (trace.steps["seq"] == steps.rows.seq[index])
    alike &= trace.steps["past"] == steps.rows.total[index] - steps.rows.seq[index]
    members = np.flatnonzero(np.repeat(alike.to_numpy(), captured))
    start = int(np.searchsorted(members, steps.first_unit[index]))
    return members[start : start + steps.batch]


def gather(batches: list[Batch], units: np.ndarray) -> Batch:
    """A batch of the given units of several batches (counted through); what is not a tensor of units is the first batch's."""
    starts = np.cumsum([0, *(b.units for b in batches)])
    parts: list[Batch] = []
    for run in np.split(units, np.flatnonzero(np.diff(units) != 1) + 1):
        at, stop = int(run[0]), int(run[-1]) + 1
        while at < stop:
            b = int(np.searchsorted(starts, at, side="right")) - 1
            end = min(stop, int(starts[b + 1]))
            whole = batches[b]
            parts.append(
                whole
                if end - at == whole.units
                else whole.rows(at - int(starts[b]), end - int(starts[b]))
            )
            at = end
    if len(parts) == 1:
        return parts[0]

    def join(values: list[Any]) -> Any:
        first = values[0]
        if (
            isinstance(first, torch.Tensor)
            and first.ndim
            and all(v.shape[0] == p.units for v, p in zip(values, parts, strict=True))
        ):
            return torch.cat(values)
        return first

    args = tuple(join(list(v)) for v in zip(*(p.args for p in parts), strict=True))
    kwargs = {k: join([p.kwargs[k] for p in parts]) for k in parts[0].kwargs}
    return Batch(args, kwargs, len(units), parts[0].seq)


def differing(
    step: Step, observed: Mapping[str, list[dict[str, Any]]]
) -> dict[str, tuple[int, int]]:
    """Site → (rows that decided otherwise than the trace, rows that got there). observed: what `Execution.observed` collected in one pass."""
    found = {}
    for site, ids in step.ids.items():
        flat = ids.reshape(len(ids), -1)
        here = np.ones(len(flat), bool) if ids.dtype == bool else flat[:, 0] >= 0
        calls = observed.get(site, [])
        own = calls[0]["ids"].numpy().reshape(len(calls[0]["ids"]), -1) if calls else flat[:0]
        if len(own) == len(flat):
            own = own[here]
        total = int(here.sum())
        if own.shape != flat[here].shape:
            found[site] = (total, total) if total else (0, 0)
        else:
            same = (
                np.sort(own, axis=1) == np.sort(flat[here], axis=1)
                if ids.dtype != bool
                else own == flat[here]
            )
            found[site] = (
                int((~same).any(1).sum()) if ids.dtype != bool else int((~same).sum()),
                total if ids.dtype != bool else same.size,
            )
    return found
