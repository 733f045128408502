"""Cut a trace's units into steps of another size, in captured order, and sum up what each step's
rows decided."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from condsim.errors import CondsimError
from condsim.mechanisms.early_exit import goes_on
from condsim.steps.extents import SiteRule, Steps
from condsim.trace import Site, Trace

UNIT_SIZE = ["seq", "past"]
"""Columns of a trace's steps that units of one step have in common."""


@dataclass(frozen=True)
class Cut:
    """A trace's units in steps of one batch size.

    regime: the programs that the steps run. dropped: units of partial last steps.
    first_unit: first unit-step of each step in the trace, int [n]; the others follow it among the
    units of the same size.
    """

    steps: Steps
    regime: str
    phase: str
    batch: int
    dropped: int
    first_unit: np.ndarray


def site_rules(trace: Trace) -> dict[str, SiteRule]:
    """Return what steps say of each site."""
    return {site.name: SiteRule.of(site) for site in trace.sites}


def choose_phase(trace: Trace, phase: str | None) -> str:
    """Return the phase to simulate.

    Raises CondsimError where a trace has several and none was named, or not this one.
    """
    present = list(dict.fromkeys(trace.steps["phase"]))
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
    units = trace.steps.loc[trace.steps["phase"] == phase, "units"]
    return int(units.mode().iloc[0])


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
    over the whole batch, and for a threshold without scores.
    """
    trace.require_decisions()
    phase = choose_phase(trace, phase)
    if batch is None:
        batch = captured_batch(trace, phase)
    if batch < 1:
        raise CondsimError(f"batch must be at least 1, got {batch}")
    key = ("cut", batch, phase, threshold)
    return trace.results.remember(key, lambda: _cut(trace, batch, phase, threshold))


def _cut(trace: Trace, batch: int, phase: str, threshold: float | None) -> Cut:
    _refuse_batch_decisions(trace, batch)
    sizes = _units_by_size(trace, phase)
    units, seq, past = [], [], []
    dropped = 0
    for size, members in sizes.items():
        whole = len(members) // batch
        dropped += len(members) - whole * batch
        units.append(members[: whole * batch])
        seq.append(np.full(whole, size[0]))
        past.append(np.full(whole, size[1]))
    chosen = np.concatenate(units)
    if not len(chosen):
        most = max(len(members) for members in sizes.values())
        raise CondsimError(
            f"batch {batch} is more than the {most} units of one size in trace {trace.name!r}; "
            f"choose at most {most}"
        )
    n = len(chosen) // batch
    counts = {}
    for site in trace.sites:
        of_unit = _unit_counts(trace, site, threshold)
        counts[site.name] = _summed(of_unit, chosen, batch)
    positions = np.concatenate(seq)
    total = positions + np.concatenate(past)
    steps = Steps.rectangular(np.full(n, batch), positions, total, counts)
    steps = Steps(
        steps.extents,
        counts,
        kept=_kept(trace, steps),
        costliest=trace.header.costliest,
    )
    regime = f"{phase}-{'1' if batch == 1 else 'n'}"
    return Cut(steps, regime, phase, batch, dropped, chosen[::batch])


def _refuse_batch_decisions(trace: Trace, batch: int) -> None:
    captured = trace.steps["units"].to_numpy()
    for site in trace.sites:
        if site.scope == "batch" and not (captured == batch).all():
            raise CondsimError(
                f"site {site.name!r} decides over the whole batch: only the captured batch "
                f"({captured[0]}) can be simulated, got {batch}"
            )


def _units_by_size(trace: Trace, phase: str) -> Mapping[tuple[int, int], np.ndarray]:
    """Return (positions, positions before them) → unit-steps of that size, in captured order."""
    return trace.results.remember(("units by size", phase), lambda: _grouped(trace, phase))


def _grouped(trace: Trace, phase: str) -> dict[tuple[int, int], np.ndarray]:
    held = trace.steps["units"].to_numpy()
    first = np.concatenate([[0], np.cumsum(held)[:-1]])
    of_phase = trace.steps[trace.steps["phase"] == phase]
    found = {}
    for size, steps in of_phase.groupby(UNIT_SIZE, sort=False).groups.items():
        found[size_of(size)] = _members(first[steps], held[steps])
    return found


def _members(first: np.ndarray, held: np.ndarray) -> np.ndarray:
    """Return all units of steps that begin at unit `first` and hold `held` units each."""
    before = np.cumsum(held) - held
    members: np.ndarray = np.repeat(first - before, held) + np.arange(held.sum())
    return members


def size_of(key: object) -> tuple[int, int]:
    """Return (positions, positions before them) of a group of steps."""
    assert isinstance(key, tuple)
    return int(key[0]), int(key[1])


def _summed(of_unit: np.ndarray, chosen: np.ndarray, batch: int) -> np.ndarray:
    """Return the counts of each step. of_unit: int [units, branches]; chosen: units in order."""
    contiguous = bool(chosen[-1] - chosen[0] == len(chosen) - 1)
    if contiguous:
        of_step = of_unit[chosen[0] : chosen[-1] + 1]
    else:
        of_step = of_unit[chosen]
    if batch == 1:
        return of_step.astype(np.int64)
    steps = of_step.reshape(len(chosen) // batch, batch, -1)
    summed: np.ndarray = steps.sum(1, dtype=np.int64)
    return summed


def branch_shares(trace: Trace, site: str) -> np.ndarray:
    """Return the share of all rows of the trace that take each branch of a site, float
    [branches]."""
    return trace.results.remember(("branch shares", site), lambda: _shares(trace, site))


def _shares(trace: Trace, site: str) -> np.ndarray:
    rows = int(trace.rows_per_unit(trace.site(site)).sum())
    shares: np.ndarray = trace.unit_counts(site).sum(0) / max(1, rows)
    return shares


def _kept(trace: Trace, steps: Steps) -> dict[str, np.ndarray]:
    """Rows that each branch keeps under same-flops, site → int [n, branches]."""
    kept = {}
    for site, rule in zip(trace.sites, site_rules(trace).values(), strict=True):
        shares = branch_shares(trace, site.name)
        sizes, of_step = np.unique(steps.arriving(rule), return_inverse=True)
        of_size = [rule.mechanism.rows_kept(shares, int(rows), site.top_k) for rows in sizes]
        kept[site.name] = np.stack(of_size)[of_step]
    return kept


def _unit_counts(trace: Trace, site: Site, threshold: float | None) -> np.ndarray:
    if threshold is None:
        return trace.unit_counts(site.name)
    return _thresholded(trace, site.name, threshold)


def _thresholded(trace: Trace, site: str, threshold: float) -> np.ndarray:
    """Return the unit counts of an early exit where rows go on whose score is below `threshold`
    and that got there; int [units, 2]."""
    exits = [s for s in trace.sites if s.routing.leaves]
    if len(exits) != len(trace.sites) or not all(s.has_scores for s in exits):
        kept = ", ".join(s.name for s in exits if s.has_scores) or "none"
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
        if exit_.name == site:
            return np.stack([alive & ~goes, alive & goes], axis=1).astype(np.int32)
        alive = alive & goes
    raise AssertionError(site)
