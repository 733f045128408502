"""Run all the data once and keep what was decided: the dynamic half of capturing.

Nothing but hooks and copies is added to the model's own forward passes.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
import torch

from condsim.capture.no_routing import no_routing
from condsim.capture.other_sizes import OfOneBatch
from condsim.capture.repeatable import inputs_kept, own_result
from condsim.capture.sizes import learn_sizes, ordered, rows_missing
from condsim.errors import CondsimError
from condsim.live.decode import decode, has_encoder
from condsim.live.equality import close, tensors_of
from condsim.live.execution import Execution, SiteInfo
from condsim.live.inputs import Batch
from condsim.live.model import LiveModel
from condsim.mechanisms import MECHANISMS, Draw
from condsim.program.regime import DECODE
from condsim.trace import Decisions
from condsim.trace.columns import SOURCE
from condsim.trace.header import UnitRows

Quality = Callable[[Any, int], np.ndarray]
"""(output of the model, number of the batch) → quality of each unit, float [units]."""

SiteCall = Mapping[str, torch.Tensor]
"""What a site decided in one call: ids, and weights and scores where it has them."""


@dataclass(frozen=True)
class StepSize:
    """One forward pass. seq: positions, None without. past: positions before it. source: those of
    them that an encoder has read, or reads now; None without an encoder."""

    phase: str
    units: int
    seq: int | None
    past: int
    source: int | None = None

    def row(self) -> dict[str, Any]:
        """As a row of the trace's table of steps."""
        positions = self.seq or 1
        row = {"phase": self.phase, "units": self.units, "seq": positions, "past": self.past}
        if self.source is not None:
            row[SOURCE] = self.source
        return row


@dataclass
class Observation:
    """What all batches decided.

    steps: rows of the trace's table of steps. decisions: site → decisions, one item a step.
    unit_rows: site → the rows that a unit has there where nothing was dropped before.
    quality: column of the trace's table of quality → values, one array [units] a batch.
    notes: what a reader of the trace should know of the steps.
    silent: sites that decide nothing while tokens are decoded: those of an encoder.
    of_one_batch: sites of which no other batch size is known.
    """

    steps: list[dict[str, Any]] = field(default_factory=list)
    decisions: dict[str, list[Decisions]] = field(default_factory=dict)
    unit_rows: dict[str, UnitRows] = field(default_factory=dict)
    quality: dict[str, list[np.ndarray]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    silent: set[str] = field(default_factory=set)
    of_one_batch: OfOneBatch = field(default_factory=OfOneBatch)

    def joined(self) -> dict[str, Decisions]:
        """Site → decisions of all steps, one after the other."""
        joined = {}
        for name, steps in self.decisions.items():
            ids = np.concatenate([step.ids for step in steps])
            weights = _join([step.weights for step in steps])
            scores = _join([step.scores for step in steps])
            joined[name] = Decisions(ids, weights, scores)
        return joined

    @property
    def decodes(self) -> bool:
        """Whether tokens were decoded after the batches."""
        return any(step["phase"] == DECODE for step in self.steps)

    def fix_length(self, unit_rows: Mapping[str, UnitRows]) -> None:
        """Count the positions of a unit as a part of it: no program is of another length.

        unit_rows: site → all rows of a unit.
        """
        seq = self.steps[0]["seq"]
        self.unit_rows = dict(unit_rows)
        self.steps = [{**step, "seq": 1} for step in self.steps]
        self.notes.append(
            f"the programs are those of {seq} positions: what the model executes at other lengths "
            "does not follow from the length"
        )

    def quality_table(self) -> pd.DataFrame:
        """Quality of each unit, a column a way to run the model; empty where none is known."""
        columns = {name: np.concatenate(parts) for name, parts in self.quality.items()}
        return pd.DataFrame(columns)

    def add_quality(self, column: str, values: np.ndarray) -> None:
        """Keep one batch's quality. Raises CondsimError where a value is not finite."""
        if not np.isfinite(values).all():
            raise CondsimError(
                "quality: the model's output is NaN or infinite for these inputs; check its weights"
            )
        self.quality.setdefault(column, []).append(np.asarray(values, np.float32))


def _join(steps: list[np.ndarray | None]) -> np.ndarray | None:
    """The arrays of the steps that have one, one after the other; None where no step has."""
    present = [step for step in steps if step is not None]
    return np.concatenate(present) if present else None


def observe(
    live: LiveModel,
    batches: list[Batch],
    new_tokens: int = 0,
    quality: Quality | None = None,
    progress: Callable[[], None] = lambda: None,
    unit_rows: Mapping[str, UnitRows] | None = None,
) -> Observation:
    """Run every batch once, and `new_tokens` greedy cached steps after each.

    quality: what to judge outputs by, where nothing is decoded. progress: called after each batch.
    unit_rows: site → the rows that a unit has there; None to learn them.
    Raises CondsimError where no site was seen.
    """
    if unit_rows is None:
        unit_rows = learn_sizes(live, batches[0]).unit_rows
    seen = Observation(unit_rows=dict(unit_rows))
    own = own_result(live, batches[0])
    if not live.infos:
        raise CondsimError(no_routing(live, batches[0]))
    for number, batch in enumerate(batches):
        run = Execution(observed={})
        with inputs_kept(batch):
            output = live.run(batch, run)
        if number == 0:
            _check_result(live, output, own)
        if quality is not None and not new_tokens:
            seen.add_quality("conditional", quality(output, number))
        del output
        if not live.decides_while_decoding:
            keep_decisions(live, seen, run, _whole(live, batch, new_tokens))
        if new_tokens:
            _observe_decoding(live, batch, new_tokens, seen)
        progress()
    return seen


def _check_result(live: LiveModel, output: Any, own: list[torch.Tensor]) -> None:
    """Raises CondsimError where the watched model gives something else than the model by itself.

    Each forward that was read gives its own result; but one that changes its input in place, or
    sets an attribute, also does so to what comes after it.
    """
    if not close(tensors_of(output), own):
        read = itertools.chain.from_iterable(site.sites for site in live.sites)
        first = next(name for name in read if name in live.infos)
        raise CondsimError(
            f"site {first!r}: with it the model gives another result than by itself; its forward "
            "changes what it is given, or keeps something for later, beside what it returns: let "
            "it return new tensors"
        )


def _whole(live: LiveModel, batch: Batch, new_tokens: int) -> StepSize:
    """The size of the pass that computes all positions of a batch."""
    size = StepSize(live.phase, batch.units, batch.seq, past=0)
    return replace(size, source=batch.seq) if new_tokens and has_encoder(live.model) else size


def _observe_decoding(live: LiveModel, prefix: Batch, new_tokens: int, seen: Observation) -> None:
    """Run `new_tokens` steps of one token after a prefix."""
    past = prefix.seq or 0
    source = prefix.seq if has_encoder(live.model) else None

    def keep(run: Execution) -> None:
        nonlocal past
        keep_decisions(live, seen, run, StepSize(DECODE, prefix.units, 1, past, source))
        past += 1

    decode(live, prefix, new_tokens, keep)


def keep_decisions(live: LiveModel, seen: Observation, run: Execution, size: StepSize) -> None:
    """Add one forward pass to an observation. run: the execution that watched it.

    Raises CondsimError where a site decided twice, or not for every row.
    """
    assert run.observed is not None
    seen.steps.append(size.row())
    ids_of: dict[str, np.ndarray] = {}
    for name in ordered(live.infos):
        info = live.infos[name]
        call = _only_call(name, run.observed.get(name, []))
        present = None
        if info.parents and not MECHANISMS[info.mechanism].keeps_tokens:
            parent, choice = info.parents[-1]
            taken = ids_of[parent] == choice
            present = taken.any(-1) if taken.ndim > 1 else taken
        rows = size.units * seen.unit_rows[name].of(size.seq or 1)
        if call is None and size.phase == DECODE and size.source is not None:
            seen.silent.add(name)
            continue
        if size.phase == DECODE and present is None:
            _require_decode_rows(name, call, rows, size.units)
        decisions = _decisions_of_all_rows(info, call, rows, present)
        ids_of[name] = decisions.ids
        seen.decisions.setdefault(name, []).append(decisions)


def _only_call(site: str, calls: list[dict[str, Any]]) -> SiteCall | None:
    """The site's one call in a forward pass; None where it was not reached."""
    if len(calls) > 1:
        raise CondsimError(
            f"site {site!r} decides {len(calls)} times in one forward pass; "
            "give each place a name of its own"
        )
    return calls[0] if calls else None


def _require_decode_rows(site: str, call: SiteCall | None, rows: int, units: int) -> None:
    """Raises CondsimError where a step of one token does not decide at a site as a prefix does."""
    if call is None:
        raise CondsimError(
            f"new_tokens: site {site!r} decides nothing in a decode step (it is in an encoder?), "
            "and a trace has decisions of every site for every step; capture without new_tokens"
        )
    decided = len(call["ids"])
    if decided != rows:
        raise CondsimError(
            f"new_tokens: site {site!r} decided for {decided} rows of {units} units in a decode "
            f"step, where a prefix of one token has {rows}: learnt tokens before the sequence are "
            "not run again; capture without new_tokens"
        )


def _decisions_of_all_rows(
    info: SiteInfo, call: SiteCall | None, rows: int, present: np.ndarray | None
) -> Decisions:
    """Decisions of all rows, also of those that never got to the site.

    present: which rows got there, bool [rows]; None for all. A row that never got there has no
    score and no weight.
    """
    mechanism = MECHANISMS[info.mechanism]
    if present is None:
        assert call is not None
        ids = call["ids"].numpy()
        if len(ids) != rows:
            raise CondsimError(rows_missing(info, len(ids), f"{rows} rows come"))
        weights = call["weights"].numpy() if "weights" in call else None
        scores = call["scores"].numpy() if "scores" in call else None
        return Decisions(mechanism.compact(ids), weights, scores)
    arriving = int(present.sum())
    decided = 0 if call is None else len(call["ids"])
    if decided not in (0, arriving):
        raise CondsimError(
            f"site {info.name!r} decided for {decided} rows where {arriving} reach it; "
            "a site behind a guard decides for the rows that the guard lets through"
        )
    ids = mechanism.nowhere(Draw(rows, info.branches, info.top_k))
    weights = np.zeros((rows, info.top_k or 1), np.float32) if info.has_weights else None
    scores = np.full(rows, np.nan, np.float32) if info.has_scores else None
    if call is not None:
        ids[present] = call["ids"].numpy()
        if weights is not None:
            of_present = call["weights"].numpy()
            weights[present] = of_present.reshape(-1, weights.shape[1])
        if scores is not None:
            scores[present] = call["scores"].numpy()
    return Decisions(mechanism.compact(ids), weights, scores)
