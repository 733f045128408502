"""The smallest test set of a trace: inputs that show all that all of its inputs show."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from condsim.decide.coverage.costs import costs_of
from condsim.decide.coverage.incidence import Incidence, incidence_of
from condsim.decide.coverage.set_cover import TestSet, smallest_set
from condsim.decide.things import KINDS, PATHS, Things, things_of
from condsim.decide.units import Units
from condsim.errors import CondsimError, unknown
from condsim.hardware import HardwareProfile
from condsim.predict.simulate import resolve_profile
from condsim.trace import Trace

COST = "cost"
TEST_SETS = (*KINDS, COST)


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
        able = ", ".join(dict.fromkeys(_kinds_of(trace, units)))
        raise CondsimError(f"trace {trace.name!r} has no {by}; it has {able}")
    return smallest_set(_joined(things, units))


def _kinds_of(trace: Trace, units: Units) -> Iterator[str]:
    for things in things_of(trace, units):
        yield things.kind
    yield COST


def _joined(things: list[Things], units: Units) -> Incidence:
    """The things of all sites together."""
    parts = [incidence_of(of_place, units) for of_place in things]
    numbers = []
    count = 0
    for part in parts:
        numbers.append(part.thing + count)
        count += part.things
    unit = np.concatenate([part.unit for part in parts])
    rows = np.concatenate([part.rows for part in parts])
    return Incidence(unit, np.concatenate(numbers), rows, units.count, count)
