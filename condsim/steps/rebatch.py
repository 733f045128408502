"""Cut a trace's units into steps of another size, in captured order, and sum up what each step's
rows decided."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from condsim import checks
from condsim.errors import CondsimError
from condsim.mechanisms.early_exit import goes_on
from condsim.mechanisms.token_exit import GOES_ON
from condsim.mechanisms.tokens import STAYS
from condsim.steps.extents import SiteRule, Steps
from condsim.steps.patterns import CutWeight, pattern_extents
from condsim.steps.sequences import sequence_of_units, tokens_behind
from condsim.trace import Site, Trace
from condsim.trace.columns import SOURCE

UNIT_SIZE = ["seq", "past"]
"""Columns of a trace's steps that units of one step have in common."""


@dataclass(frozen=True)
class StepsOfSize:
    """Steps whose units are alike. seq, past: positions of a unit, and positions before them.
    source: those that an encoder has read; 0 where there is none."""

    seq: int
    past: int
    count: int
    source: int = 0


@dataclass(frozen=True)
class CutSite:
    """What a cut knows of a site.

    of_unit: rows of each unit-step of the trace that took each branch, int [units, branches].
    shares: share of all rows of the trace that take each branch, float [branches].
    owed: of an exit at which tokens owe, those that each unit-step runs behind it, int
        [unit-steps]; None at other sites.
    """

    rule: SiteRule
    of_unit: np.ndarray
    shares: np.ndarray
    owed: np.ndarray | None = None

    def kept(self, steps: Steps) -> np.ndarray:
        """Return the rows that each branch keeps under same-flops, int [n, branches]."""
        sizes, of_step = np.unique(steps.arriving(self.rule), return_inverse=True)
        mechanism, top_k = self.rule.mechanism, self.rule.top_k
        of_size = [mechanism.rows_kept(self.shares, int(rows), top_k) for rows in sizes]
        if len(sizes) == 1:
            of_all = of_size[0]
            return np.broadcast_to(of_all, (len(steps), len(of_all)))
        kept: np.ndarray = np.stack(of_size)[of_step]
        return kept


@dataclass(frozen=True)
class Cut:
    """A trace's units in steps of one batch size.

    regime: the programs that the steps run. dropped: units of partial last steps.
    units: unit-steps of the trace, those of a step side by side, int [n * batch].
    sizes: of the steps, in their order. sites: site → what was counted there.
    weights: site → what is known of a sparse weight; a step has the mask that its first unit met.
    costliest: site → the branch that all rows take under same-params.
    windows: of layers that attend to the last positions only.
    """

    regime: str
    phase: str
    batch: int
    dropped: int
    units: np.ndarray
    sizes: tuple[StepsOfSize, ...]
    sites: Mapping[str, CutSite]
    costliest: Mapping[str, int]
    windows: tuple[int, ...] = ()
    weights: Mapping[str, CutWeight] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.units) // self.batch

    @property
    def first_unit(self) -> np.ndarray:
        """The first unit-step of each step in the trace, int [n]; the others follow it among the
        units of the same size."""
        return self.units[:: self.batch]

    @cached_property
    def steps(self) -> Steps:
        """All steps."""
        return self.take(slice(None))

    def take(self, selected: Any) -> Steps:
        """Return the steps that an index array or a slice selects."""
        numbers = selected
        if isinstance(selected, slice):
            numbers = np.arange(len(self))[selected]
        units = self.units.reshape(-1, self.batch)
        return self.steps_of(numbers, units[selected])

    def steps_of(self, numbers: np.ndarray, units: np.ndarray) -> Steps:
        """Return steps as large as some of the cut's, of other units.

        numbers: of the steps, int [n]. units: unit-steps of each, int [n, units].
        """
        seq, past, source = self._sizes_of(numbers)
        counts = {name: _summed(site.of_unit, units) for name, site in self.sites.items()}
        held = np.full(len(units), units.shape[1])
        steps = Steps.rectangular(held, seq, seq + past, counts, self.windows)
        if source.any():
            steps = steps.behind_encoder(source)
        kept, lengths, owed = {}, {}, {}
        for name, site in self.sites.items():
            kept[name] = site.kept(steps)
            if site.rule.mechanism.keeps_tokens:
                lengths[name] = site.of_unit[units, STAYS]
            if site.owed is not None:
                owed[name] = site.owed[units]
        steps = replace(steps, kept=kept, costliest=self.costliest, lengths=lengths, owed=owed)
        return self._with_weights(steps, units)

    def _sizes_of(self, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(positions, positions before them, of a source) of a unit of each step, int [n] each."""
        counts = [size.count for size in self.sizes]
        size = np.searchsorted(np.cumsum(counts), numbers, "right")
        seq = np.array([size.seq for size in self.sizes])
        past = np.array([size.past for size in self.sizes])
        source = np.array([size.source for size in self.sizes])
        return seq[size], past[size], source[size]

    def _with_weights(self, steps: Steps, units: np.ndarray) -> Steps:
        """Return the steps with what is known of their sparse weights. units: int [n, units]."""
        if not self.weights:
            return steps
        extents, counts = dict(steps.extents), dict(steps.counts)
        for name, weight in self.weights.items():
            counts[name] = weight.of_steps(units)
            extents |= pattern_extents(name, counts[name], weight.kept)
        return replace(steps, extents=extents, counts=counts)


def site_rules(trace: Trace) -> dict[str, SiteRule]:
    """Return what steps say of each site."""
    return {site.name: SiteRule.of(site) for site in trace.sites}


def choose_phase(trace: Trace, phase: str | None) -> str:
    """Return the phase to simulate.

    Raises CondsimError where a trace has several and none was named, or not this one.
    """

    def distinct() -> list[str]:
        return list(dict.fromkeys(trace.steps["phase"]))

    present = trace.results.remember("phases", distinct)
    if phase is None and len(present) == 1:
        return str(present[0])
    phases = ", ".join(present)
    if phase is None:
        raise CondsimError(
            f"trace {trace.name!r} has the phases {phases}; name one with phase= (--phase)"
        )
    if phase not in present:
        raise CondsimError(f"trace {trace.name!r} has no phase {phase!r}; it has {phases}")
    return phase


def captured_batch(trace: Trace, phase: str) -> int:
    """Return the batch size that most steps of a phase were captured at."""
    of_phase = trace.steps["phase"] == phase
    most_often = trace.steps.loc[of_phase, "units"].mode()
    return int(most_often.iloc[0])


def rebatch(
    trace: Trace,
    batch: int | None = None,
    phase: str | None = None,
    threshold: float | None = None,
) -> Cut:
    """Return steps of `batch` units each; None asks for the captured batch.

    A unit is an image, a sequence, or a sequence at one decode position. Units of unlike length
    never share a step; a partial last step is dropped. threshold: decide anew at sites that keep
    scores (early exits).
    Raises CondsimError for a batch below 1 or above the units there are, for a site that decides
    over the whole batch, and for a threshold that is no number or has no scores.
    """
    trace.require_decisions()
    phase = choose_phase(trace, phase)
    if batch is None:
        batch = captured_batch(trace, phase)
    if batch < 1:
        raise CondsimError(f"batch must be at least 1, got {batch}")
    if threshold is not None:
        checks.number("threshold", threshold)
    key = ("cut", batch, phase, threshold)
    return trace.results.remember(key, lambda: _cut(trace, batch, phase, threshold))


def _cut(trace: Trace, batch: int, phase: str, threshold: float | None) -> Cut:
    _refuse_batch_decisions(trace, batch, phase)
    units, sizes = [], []
    dropped = most = 0
    for (seq, past, source), members in _units_by_size(trace, phase).items():
        whole = len(members) // batch
        most = max(most, len(members))
        dropped += len(members) - whole * batch
        if whole:
            units.append(members[: whole * batch])
            sizes.append(StepsOfSize(seq, past, whole, source))
    if not units:
        raise CondsimError(
            f"batch {batch} is more than the {most} units of one size in trace {trace.name!r}; "
            f"choose at most {most}"
        )
    sites, weights = {}, {}
    for site in trace.sites:
        if site.routing.prunes_weights:
            weights[site.name] = CutWeight.of(trace, site)
            continue
        of_unit = _unit_counts(trace, site, threshold)
        shares = branch_shares(trace, site.name)
        owed = _owed(trace, site, of_unit, threshold)
        sites[site.name] = CutSite(SiteRule.of(site), of_unit, shares, owed)
    units_a_step = "1" if batch == 1 else "n"
    all_units = units[0] if len(units) == 1 else np.concatenate(units)
    return Cut(
        regime=f"{phase}-{units_a_step}",
        phase=phase,
        batch=batch,
        dropped=dropped,
        units=all_units,
        sizes=tuple(sizes),
        sites=sites,
        costliest=trace.header.costliest,
        windows=trace.header.windows,
        weights=weights,
    )


def _owed(
    trace: Trace, site: Site, of_unit: np.ndarray, threshold: float | None
) -> np.ndarray | None:
    """Return what `CutSite.owed` says; it is the same in steps of any batch.

    of_unit: rows that took each branch, under the threshold.
    """
    if not site.routing.owes:
        return None
    of_step = trace.results.remember("sequences", lambda: sequence_of_units(trace)[0])
    goes_on = of_unit[:, GOES_ON] > 0
    key = ("owed", site.name, threshold)
    return trace.results.remember(key, lambda: tokens_behind(goes_on, of_step))


def _refuse_batch_decisions(trace: Trace, batch: int, phase: str) -> None:
    """Raises CondsimError for another batch than the captured one, where a site follows it."""
    sites = [site.name for site in trace.sites if site.scope == "batch"]
    if not sites or _captured_whole(trace, batch, phase):
        return
    raise CondsimError(
        f"site {sites[0]!r} follows the whole batch: only the captured batch "
        f"({captured_batch(trace, phase)}) can be simulated, got {batch}"
    )


def _captured_whole(trace: Trace, batch: int, phase: str) -> bool:
    """Whether steps of `batch` units are those that were captured, but for a smaller last one."""
    of_phase = trace.steps[trace.steps["phase"] == phase]
    for _, units in of_phase.groupby(list(UNIT_SIZE), sort=False)["units"]:
        captured = units.to_numpy()
        if (captured[:-1] != batch).any() or captured[-1] > batch:
            return False
    return True


def _units_by_size(trace: Trace, phase: str) -> Mapping[tuple[int, int, int], np.ndarray]:
    """Return (positions, positions before them, of a source) → unit-steps of that size, in captured
    order."""
    return trace.results.remember(("units by size", phase), lambda: _grouped(trace, phase))


def _grouped(trace: Trace, phase: str) -> dict[tuple[int, int, int], np.ndarray]:
    held = trace.steps["units"].to_numpy()
    first = np.cumsum(held) - held
    of_phase = trace.steps[trace.steps["phase"] == phase]
    found = {}
    columns = [*UNIT_SIZE, SOURCE] if SOURCE in of_phase else UNIT_SIZE
    for size, steps in of_phase.groupby(columns, sort=False).groups.items():
        found[size_of(size)] = _members(first[steps], held[steps])
    return found


def _members(first: np.ndarray, held: np.ndarray) -> np.ndarray:
    """Return all units of steps that begin at unit `first` and hold `held` units each."""
    before = np.cumsum(held) - held
    from_members_to_units = np.repeat(first - before, held)
    members: np.ndarray = from_members_to_units + np.arange(held.sum())
    return members


def size_of(key: object) -> tuple[int, int, int]:
    """Return (positions, positions before them, of a source) of a group of steps."""
    assert isinstance(key, tuple)
    source = int(key[2]) if len(key) > 2 else 0
    return int(key[0]), int(key[1]), source


def _summed(of_unit: np.ndarray, units: np.ndarray) -> np.ndarray:
    """Return the counts of each step, int [steps, branches].

    of_unit: int [units, branches]. units: of each step, int [steps, batch].
    """
    steps, batch = units.shape
    if batch == 0:
        return np.zeros((steps, of_unit.shape[1]), np.int64)
    flat = units.ravel()
    if len(flat) and (np.diff(flat) == 1).all():
        of_step = of_unit[flat[0] : flat[-1] + 1]
    else:
        of_step = of_unit[flat]
    if batch == 1:
        return of_step.astype(np.int64)
    by_step = of_step.reshape(steps, batch, -1)
    summed: np.ndarray = by_step.sum(1, dtype=np.int64)
    return summed


def branch_shares(trace: Trace, site: str) -> np.ndarray:
    """Return the share of all rows of the trace that take each branch of a site, float
    [branches]."""
    return trace.results.remember(("branch shares", site), lambda: _shares(trace, site))


def _shares(trace: Trace, site: str) -> np.ndarray:
    of_unit = trace.rows_per_unit(trace.site(site))
    rows = int(of_unit.sum())
    taken = trace.unit_counts(site).sum(0)
    shares: np.ndarray = taken / max(1, rows)
    return shares


def _unit_counts(trace: Trace, site: Site, threshold: float | None) -> np.ndarray:
    if threshold is None:
        return trace.unit_counts(site.name)
    return _thresholded(trace, site.name, threshold)


def _thresholded(trace: Trace, site: str, threshold: float) -> np.ndarray:
    """Return the unit counts of an early exit where rows go on whose score is below `threshold`
    and that got there; int8 [units, 2]."""
    exits = [exit_ for exit_ in trace.sites if exit_.routing.leaves]
    with_scores = [exit_.name for exit_ in exits if exit_.has_scores]
    if len(with_scores) != len(trace.sites):
        kept = ", ".join(with_scores) or "none"
        raise CondsimError(
            "threshold: decisions can be made anew at early exits that keep scores (here: "
            f"{kept}); capture at that threshold instead"
        )
    alive = np.ones(trace.units, bool)
    for exit_ in sorted(exits, key=lambda s: s.level):
        scores = trace.decisions(exit_.name).scores
        if scores is None:
            raise CondsimError(f"threshold: the scores of site {exit_.name!r} are missing")
        if bool(np.isnan(scores[alive]).any()):
            raise CondsimError(
                f"threshold: site {exit_.name!r} has no score for rows that left before it; "
                "capture the trace again to score every exit"
            )
        goes = goes_on(scores, threshold)
        leaves_here = alive & ~goes
        alive = alive & goes
        if exit_.name == site:
            taken = np.stack([leaves_here, alive], axis=1)
            return taken.astype(np.int8)
    raise AssertionError(site)
