"""What a trace has seen of what a model can decide, and what it has not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from condsim import checks
from condsim.decide.coverage.costs import MOST_UNITS, Costs, costs_of
from condsim.decide.coverage.incidence import incidence_of
from condsim.decide.coverage.production import production_tested_by
from condsim.decide.same_sites import check_same_sites
from condsim.decide.things import PATHS, Things, things_of
from condsim.decide.units import Units
from condsim.errors import CondsimError
from condsim.hardware import HardwareProfile
from condsim.predict.simulate import resolve_profile
from condsim.trace import Trace
from condsim.trace.model import check_trace

COLUMNS = [
    "kind", "site", "seen", "possible", "share", "unseen_mass", "doubtful", "at_least",
    "at_least_low", "at_least_high", "new_if_doubled", "once", "twice", "units",
]  # fmt: skip


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
    check_trace(trace)
    trace.require_decisions()
    checks.whole("most_priced", most_priced)
    checks.free("coverage", scenario, ("steps",))
    if of is not None:
        check_trace(of)
        check_same_sites(trace, of)
    units = Units.of(trace)
    things = list(things_of(trace, units))
    rows = [_row(of_place, units) for of_place in things]
    costs, why, device = _costs(trace, profile, units, most_priced, scenario)
    tested = None if of is None else production_tested_by(things, of)
    return Coverage(
        trace=trace.name,
        profile=device,
        units=units.count,
        word=units.word,
        table=pd.DataFrame(rows, columns=COLUMNS),
        costs=costs,
        why_no_costs=why,
        production=tested,
    )


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
