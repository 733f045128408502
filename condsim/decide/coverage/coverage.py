"""What a trace has seen of what a model can decide, and what it has not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from condsim.decide.coverage.costs import MOST_UNITS, Costs, costs_of
from condsim.decide.coverage.incidence import Incidence
from condsim.decide.coverage.test_set import TestSet, smallest_set
from condsim.decide.things import KINDS, PATHS, Things, things_of
from condsim.decide.units import Units
from condsim.errors import CondsimError, unknown
from condsim.hardware import HardwareProfile
from condsim.predict.simulate import resolve_profile
from condsim.trace import Trace

COST = "cost"
TEST_SETS = (*KINDS, COST)
COLUMNS = [
    "kind", "site", "seen", "possible", "share", "unseen_mass", "doubtful", "at_least",
    "at_least_low", "at_least_high", "new_if_doubled", "once", "twice", "units",
]  # fmt: skip
PRODUCTION_COLUMNS = ["kind", "site", "tested_mass", "low", "high", "untested", "only_tested"]
RESAMPLES = 999


@dataclass(frozen=True)
class Coverage:
    """What a trace has seen.

    units, word: how many sequences or images it has, and which of both they are.
    table: a row a kind and site. seen, possible, share: distinct branches, sets of branches,
    transitions from one site to the next, or paths through all sites. unseen_mass: the estimated
    share of the rows of a new sequence that do what none here has done
    (`Incidence.unseen_mass`). doubtful: whether that estimate depends on the sampling unit.
    at_least: how many there are, a lower bound with its 95 % interval. new_if_doubled: as many
    sequences more would show so many new ones.
    costs: seconds of single units, None where nothing says what the model executes; why_no_costs
    says why.
    production: of another trace, the share of its rows that do what this one has done, with a 90 %
    interval over its sequences; None where there is none.
    """

    trace: str
    profile: str
    units: int
    word: str
    table: pd.DataFrame
    costs: Costs | None
    why_no_costs: str = ""
    production: pd.DataFrame | None = None

    def of_kind(self, kind: str) -> pd.DataFrame:
        """Return the rows of a kind."""
        return self.table[self.table["kind"] == kind]

    @property
    def deepest(self) -> dict[Any, Any]:
        """The row that says most: of paths, else the one with the largest unseen mass."""
        paths = self.of_kind(PATHS)
        rows = paths if len(paths) else self.table
        return rows.sort_values("unseen_mass", kind="stable").to_dict("records")[-1]

    def in_short(self) -> dict[str, Any]:
        """Return what an advisor says of it, in SI units."""
        deepest = self.deepest
        short: dict[str, Any] = {
            "units": self.units,
            "unit": self.word,
            "kind": deepest["kind"],
            "site": deepest["site"],
            "seen": int(deepest["seen"]),
            "unseen_mass": float(deepest["unseen_mass"]),
            "doubtful": bool(deepest["doubtful"]),
        }
        if self.costs is not None:
            short |= _costs_in_short(self.costs)
        return short

    def to_dict(self) -> dict[str, Any]:
        """Return plain values in SI units, for JSON."""
        return {
            "trace": self.trace,
            "profile": self.profile,
            "units": self.units,
            "unit": self.word,
            "coverage": self.table,
            "costs": None if self.costs is None else _costs_in_short(self.costs),
            "why_no_costs": self.why_no_costs,
            "production": self.production,
        }


def _costs_in_short(costs: Costs) -> dict[str, Any]:
    mean, worst = float(costs.seconds.mean()), float(costs.seconds.max())
    cheapest, dearest = costs.structural
    return {
        "mean_s": mean,
        "best_s": float(costs.seconds.min()),
        "worst_s": worst,
        "worst_unit": costs.worst_unit,
        "worst_over_mean": worst / mean,
        "structural_best_s": cheapest,
        "structural_worst_s": dearest,
        "share_of_range": costs.share_of_range,
        "priced": len(costs.seconds),
    }


def coverage(
    trace: Trace,
    profile: HardwareProfile | str | None = None,
    of: Trace | None = None,
    most_priced: int = MOST_UNITS,
    **scenario: Any,
) -> Coverage:
    """Say what a trace has seen.

    profile: a device that prices its paths, as in `condsim.simulate`. of: a trace from production,
    of the same sites; what share of it does this one test? most_priced: units whose seconds are
    predicted, evenly chosen. scenario: fields of `condsim.Scenario`.
    Raises CondsimError for a trace without decisions, and where the sites of both differ.
    """
    trace.require_decisions()
    if of is not None:
        check_same_sites(trace, of)
    units = Units.of(trace)
    things = list(things_of(trace, units))
    rows = [_row(of_place, units) for of_place in things]
    costs, why, device = _costs(trace, profile, units, most_priced, scenario)
    return Coverage(
        trace=trace.name,
        profile=device,
        units=units.count,
        word=units.word,
        table=pd.DataFrame(rows, columns=COLUMNS),
        costs=costs,
        why_no_costs=why,
        production=None if of is None else _tested(things, of),
    )


def check_same_sites(one: Trace, other: Trace) -> None:
    """Raises CondsimError unless two traces decide at the same sites."""
    one.require_decisions()
    other.require_decisions()
    of_one, of_other = (
        {site.name: (site.mechanism, site.branches, site.top_k) for site in trace.sites}
        for trace in (one, other)
    )
    for name in {**of_one, **of_other}:
        if of_one.get(name) != of_other.get(name):
            raise CondsimError(
                f"traces {one.name!r} and {other.name!r} have different sites: {name!r} is "
                f"{_said(of_one.get(name))} in the first, {_said(of_other.get(name))} in the "
                "second; compare two traces of one model"
            )


def _said(site: tuple[str, int, int | None] | None) -> str:
    if site is None:
        return "not there"
    mechanism, branches, top_k = site
    return f"{mechanism} of {branches} branches" + (f", top {top_k}" if top_k else "")


def _row(things: Things, units: Units) -> dict[str, Any]:
    incidence = incidence_of(things, units)
    estimate, low, high = incidence.at_least(things.possible)
    return {
        "kind": things.kind,
        "site": things.site,
        "seen": incidence.seen,
        "possible": things.possible,
        "share": incidence.seen / things.possible,
        "unseen_mass": incidence.unseen_mass,
        "doubtful": incidence.doubtful,
        "at_least": estimate,
        "at_least_low": low,
        "at_least_high": high,
        "new_if_doubled": min(incidence.new_if_doubled, things.possible - incidence.seen),
        "once": incidence.once,
        "twice": incidence.twice,
        "units": units.count,
    }


def incidence_of(things: Things, units: Units) -> Incidence:
    """Return which units did which things."""
    distinct, numbers = np.unique(things.keys, return_inverse=True)
    return Incidence.of(things.unit, numbers, units.count, len(distinct))


def _costs(
    trace: Trace,
    profile: HardwareProfile | str | None,
    units: Units,
    most: int,
    scenario: dict[str, Any],
) -> tuple[Costs | None, str, str]:
    """(seconds, why there are none, device)."""
    if not trace.header.has_programs:
        return None, "the trace holds recorded routing only", ""
    device = resolve_profile(trace, profile)
    try:
        return costs_of(trace, device, units, most, **scenario), "", device.name
    except CondsimError as error:
        return None, str(error), device.name


# Of production


def tested(trace: Trace, production: Trace) -> pd.DataFrame:
    """Return how much of what production does a trace has done: a row a kind and site.

    tested_mass: the share of what rows of production do that some row of the trace did, low and
    high: its 90 % interval over sequences. untested: things that only production does.
    only_tested: things that only the trace does.
    """
    return _tested(list(things_of(trace, Units.of(trace))), production)


def _tested(things: list[Things], production: Trace) -> pd.DataFrame:
    """A row a kind and site: the share of what production does that was tested."""
    units = Units.of(production)
    of_production = {(other.kind, other.site): other for other in things_of(production, units)}
    rows = []
    for tested in things:
        other = of_production.get((tested.kind, tested.site))
        if other is not None:
            rows.append(_tested_row(tested, other, units))
    return pd.DataFrame(rows, columns=PRODUCTION_COLUMNS)


def _tested_row(tested: Things, other: Things, units: Units) -> dict[str, Any]:
    known = np.unique(tested.keys)
    distinct, numbers = np.unique(other.keys, return_inverse=True)
    is_known = np.isin(distinct, known)[numbers]
    of_unit = np.bincount(other.unit, minlength=units.count)
    known_of_unit = np.bincount(other.unit, weights=is_known, minlength=units.count)
    low, high = _interval(known_of_unit, of_unit)
    return {
        "kind": tested.kind,
        "site": tested.site,
        "tested_mass": float(is_known.mean()) if len(is_known) else 1.0,
        "low": low,
        "high": high,
        "untested": int((~np.isin(distinct, known)).sum()),
        "only_tested": int((~np.isin(known, distinct)).sum()),
    }


def _interval(known: np.ndarray, rows: np.ndarray) -> tuple[float, float]:
    """The 90 % interval of Σ known / Σ rows, by drawing sequences with replacement."""
    rng = np.random.default_rng(0)
    drawn = rng.integers(0, len(rows), (RESAMPLES, len(rows)))
    shares = known[drawn].sum(axis=1) / np.maximum(rows[drawn].sum(axis=1), 1)
    low, high = np.quantile(shares, (0.05, 0.95))
    return float(low), float(high)


# Test sets


def smallest_test_set(
    trace: Trace,
    by: str = PATHS,
    profile: HardwareProfile | str | None = None,
    **scenario: Any,
) -> TestSet:
    """Return the smallest set of inputs of a trace that shows all that all of them show.

    by: "paths", "branches", "sets" or "transitions", at every site; or "cost": an input for each
    tenth of the range of seconds, on a device. Raises CondsimError for any other, for one that the
    trace does not have, and as `coverage` does.
    """
    if by not in TEST_SETS:
        raise unknown("test set", by, TEST_SETS)
    trace.require_decisions()
    units = Units.of(trace)
    if by == COST:
        trace.require_programs()
        device = resolve_profile(trace, profile)
        costs = costs_of(trace, device, units, len(units.of_step), **scenario)
        bins = costs.bins()
        return smallest_set(Incidence.of(costs.unit, bins, units.count, int(bins.max()) + 1))
    things = list(things_of(trace, units, [by]))
    if not things:
        raise CondsimError(
            f"trace {trace.name!r} has no {by}; it has "
            + ", ".join(dict.fromkeys(_kinds_of(trace, units)))
        )
    return smallest_set(_joined(things, units))


def _kinds_of(trace: Trace, units: Units) -> Iterator[str]:
    for things in things_of(trace, units):
        yield things.kind
    yield COST


def _joined(things: list[Things], units: Units) -> Incidence:
    """The things of all sites together."""
    parts = [incidence_of(of_place, units) for of_place in things]
    first = np.cumsum([0, *(part.things for part in parts)])
    unit = np.concatenate([part.unit for part in parts])
    thing = np.concatenate(
        [part.thing + start for part, start in zip(parts, first[:-1], strict=True)]
    )
    rows = np.concatenate([part.rows for part in parts])
    return Incidence(unit, thing, rows, units.count, int(first[-1]))
