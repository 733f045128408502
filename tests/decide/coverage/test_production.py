"""How much of what one trace does another one has done."""

from __future__ import annotations

from dataclasses import replace

from condsim.decide.coverage.production import production_tested
from condsim.trace import Decisions, Trace
from condsim.trace.encoding import in_memory


def with_units(trace: Trace, units: int) -> Trace:
    """The first sequences of a trace, of 32 a step."""
    first = {}
    for site in trace.sites:
        rows = int(trace.rows_per_unit(site)[:units].sum())
        old = trace.decisions(site.name)
        parts = (old.ids, old.weights, old.scores)
        first[site.name] = Decisions(*(None if part is None else part[:rows] for part in parts))
    return replace(trace, steps=trace.steps.head(units // 32), reader=in_memory(first))


def test_of_itself_everything_is_tested_and_of_more_not(experts: Trace) -> None:
    assert (production_tested(experts, experts)["tested_mass"] == 1).all()
    part = production_tested(with_units(experts, 64), experts)
    paths = part[part["kind"] == "paths"].iloc[0]
    assert paths["low"] <= paths["tested_mass"] <= paths["high"] < 1
