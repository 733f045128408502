"""Cut a trace's units into steps of another size, in captured order, and sum up what each step's rows decided."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from condsim.errors import CondsimError
from condsim.lower import SiteRule, StepRows
from condsim.trace import Trace


@dataclass(frozen=True)
class Steps:
    """Steps of one size. rows: sizes and decisions of each. regime: which programs they run. dropped: units of partial last steps.
    first_unit: first unit-step of each step in the trace, int [n]; the others follow it among the units of the same size."""

    rows: StepRows
    regime: str
    phase: str
    batch: int
    dropped: int
    first_unit: np.ndarray


def site_rules(trace: Trace) -> dict[str, SiteRule]:
    """What lowering needs to know of each site."""
    return {
        s.name: SiteRule(s.name, s.mechanism, s.branches, s.per_position, s.top_k or 1)
        for s in trace.sites
    }


def the_phase(trace: Trace, phase: str | None) -> str:
    """The phase to simulate. Raises CondsimError where a trace has several and none was named, or not this one."""
    present = list(dict.fromkeys(trace.steps["phase"]))
    if phase is None:
        if len(present) > 1:
            raise CondsimError(
                f"trace {trace.name!r} has the phases {', '.join(present)}; name one with phase= (--phase)"
            )
        return str(present[0])
    if phase not in present:
        raise CondsimError(
            f"trace {trace.name!r} has no phase {phase!r}; it has {', '.join(present)}"
        )
    return phase


def captured_batch(trace: Trace, phase: str) -> int:
    """The batch size that most steps of a phase were captured at."""
    units = trace.steps.loc[trace.steps["phase"] == phase, "units"]
    return int(units.mode().iloc[0])


def rebatch(
    trace: Trace, batch: int | None = None, phase: str | None = None, threshold: float | None = None
) -> Steps:
    """Steps of `batch` units each.

    batch: units a step (images, sequences, or sequences at one decode position); None for the captured one. Units of unlike length never share a step; a
    partial last step is dropped. threshold: decide anew at sites that keep scores (early exit).
    Raises CondsimError for batch < 1 or more than the units there are, for a site whose scope is the batch, and for a threshold without scores.
    """
    phase = the_phase(trace, phase)
    if batch is None:
        batch = captured_batch(trace, phase)
    if batch < 1:
        raise CondsimError(f"batch must be at least 1, got {batch}")
    key = ("rebatch", batch, phase, threshold)
    if key not in trace._cache:
        trace._cache[key] = _rebatch(trace, batch, phase, threshold)
    return trace._cache[key]  # type: ignore[no-any-return]


def _rebatch(trace: Trace, batch: int, phase: str, threshold: float | None) -> Steps:
    captured = trace.steps["units"].to_numpy()
    scoped = [s.name for s in trace.sites if s.scope == "batch"]
    if scoped and not (captured == batch).all():
        raise CondsimError(
            f"site {scoped[0]!r} decides over the whole batch: only the captured batch ({captured[0]}) can be simulated, got {batch}"
        )
    first = np.concatenate([[0], np.cumsum(captured)[:-1]])
    table = trace.steps[trace.steps["phase"] == phase]
    sizes: list[np.ndarray] = []
    dropped = 0
    index: list[np.ndarray] = []
    for size, group in table.groupby(["seq", "past"], sort=False):
        begin, held = first[group.index], captured[group.index]
        members = np.repeat(begin - (np.cumsum(held) - held), held) + np.arange(held.sum())
        whole = len(members) // batch
        dropped += len(members) - whole * batch
        if whole:
            index.append(members[: whole * batch])
            sizes.append(np.tile(sizes_of(size), (whole, 1)))
    if not index:
        most = int(table.groupby(["seq", "past"])["units"].sum().max())
        raise CondsimError(
            f"batch {batch} is more than the {most} units of one size in trace {trace.name!r}; choose at most {most}"
        )
    at = np.concatenate(index)
    n = len(at) // batch
    counts = {}
    for site in trace.sites:
        per_unit = (
            trace.unit_counts(site.name)
            if threshold is None
            else _thresholded(trace, site.name, threshold)
        )
        counts[site.name] = per_unit[at].reshape(n, batch, -1).sum(1).astype(np.int64)
    seq, past = np.concatenate(sizes).T
    rows = StepRows(np.full(n, batch), seq, seq + past, counts, costliest=trace.header.costliest)
    rows = StepRows(
        rows.units, rows.seq, rows.total, counts, _kept(trace, rows), trace.header.costliest
    )
    return Steps(rows, f"{phase}-{'1' if batch == 1 else 'n'}", phase, batch, dropped, at[::batch])


def sizes_of(key: object) -> tuple[int, int]:
    """(seq, past) of a group of steps."""
    assert isinstance(key, tuple)
    return int(key[0]), int(key[1])


def rows_kept(
    per_row: np.ndarray, rows: int, mechanism: str, top_k: int | None = None
) -> np.ndarray:
    """same-flops: how many of `rows` rows each branch keeps, int [branches]; blocks kept (1 or 0 each) for sparse_activation.

    per_row: share of rows that take each branch, of all that could have reached the site. moe: all rows keep the first `top_k` experts.
    """
    if mechanism == "moe":
        return np.where(np.arange(len(per_row)) < (top_k or 1), rows, 0).astype(np.int64)
    if mechanism == "sparse_activation":
        return (np.arange(len(per_row)) < max(1, round(float(per_row.sum())))).astype(np.int64)
    if mechanism == "multi_branch":
        ends = np.rint(np.cumsum(per_row) / max(per_row.sum(), 1e-30) * rows).astype(np.int64)
        return np.diff(ends, prepend=0)
    kept: np.ndarray = np.rint(per_row * rows).astype(np.int64)
    return kept


def branch_shares(trace: Trace, site: str) -> np.ndarray:
    """Share of all rows of the trace that take each branch of a site, float [branches]."""
    info = trace.site(site)
    shares: np.ndarray = trace.unit_counts(site).sum(0) / max(
        1, int(trace.rows_per_unit(info).sum())
    )
    return shares


def _kept(trace: Trace, rows: StepRows) -> dict[str, np.ndarray]:
    kept = {}
    for site in trace.sites:
        share = branch_shares(trace, site.name)
        total = rows.units * rows.seq if site.per_position else rows.units
        sizes = {
            int(t): rows_kept(share, int(t), site.mechanism, site.top_k) for t in np.unique(total)
        }
        kept[site.name] = np.stack([sizes[int(t)] for t in total])
    return kept


def _thresholded(trace: Trace, site: str, threshold: float) -> np.ndarray:
    """Unit counts of an early exit whose rows go on where their score is below `threshold` and they got there."""
    exits = [s for s in trace.sites if s.mechanism == "early_exit"]
    if len(exits) != len(trace.sites) or not all(s.has_scores for s in exits):
        kept = ", ".join(s.name for s in exits if s.has_scores) or "none"
        raise CondsimError(
            f"threshold: decisions can be made anew at early exits that keep scores (here: {kept}); capture at that threshold instead"
        )
    alive = np.ones(trace.units, bool)
    for s in sorted(exits, key=lambda s: s.level):
        scores = trace.decisions(s.name).scores
        assert scores is not None
        if bool(np.isnan(scores[alive]).any()):
            raise CondsimError(
                f"threshold: site {s.name!r} has no score for rows that left before it; capture the trace again to score every exit"
            )
        goes = scores < np.float32(threshold)
        if s.name == site:
            return np.stack([alive & ~goes, alive & goes], axis=1).astype(np.int32)
        alive = alive & goes
    raise AssertionError(site)


def natural_key(text: str) -> list[object]:
    """Sort key that puts exit10 after exit9."""
    return [int(p) if p.isdigit() else p for p in re.split(r"(\d+)", text)]
