"""What must be true of a whole trace: opening one and saving one ask the same."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import ValidationError

from condsim.errors import CondsimError, shown
from condsim.mechanisms.base import NOT_REACHED
from condsim.program import Program, loops
from condsim.program.regime import PHASES
from condsim.strategies import STRATEGIES
from condsim.trace.columns import MEASURED, STEPS, TIMED_PARTS, check_table
from condsim.trace.header import Header, Site
from condsim.trace.model import Trace
from condsim.trace.tables import check_numbers
from condsim.untrusted import broken_rule

MOST_ROWS = 1 << 33
"""Of one site."""
MOST_UNIT_STEPS = 1 << 27
MOST_COUNTS = 1 << 27
"""Unit-steps times branches of one site: as many counts are kept in memory."""
SIDES = ("conditional", "baseline")


def check_all(trace: Trace, folder: Path) -> None:
    """Check a trace that was made in memory as one that is opened is checked.

    folder: it is to be saved to, for the error. Raises CondsimError for what opening would refuse.
    """
    try:
        Header.model_validate(trace.header.model_dump(mode="json"))
    except ValidationError as error:
        raise CondsimError(f"{folder}: {broken_rule(error)}") from None
    check_table(trace.steps, STEPS, folder / "steps.parquet")
    if len(trace.measurements):
        check_table(trace.measurements, MEASURED, folder / "measurements.parquet")
    if len(trace.segments):
        check_table(trace.segments, TIMED_PARTS, folder / "segments.parquet")
    check_numbers(trace.quality, folder / "quality.parquet")
    check(trace, folder)


def check(trace: Trace, folder: Path) -> None:
    """Raises CondsimError where parts of a trace contradict each other.

    Each part by itself is in order.
    """
    _check_strategies(trace, folder)
    _check_steps(trace, folder / "steps.parquet")
    if trace.programs:
        _check_for_programs(trace.header, folder)
    _check_measured(trace.measurements, trace, folder / "measurements.parquet")
    _check_measured(trace.segments, trace, folder / "segments.parquet")
    if not set(trace.segments["side"]) <= set(SIDES):
        raise CondsimError(f"{folder / 'segments.parquet'}: a side is {' or '.join(SIDES)}")


def check_reached(site: Site, ids: np.ndarray, programs: Mapping[str, Program]) -> None:
    """Raises ValueError where a row never got to a site that stands behind no other.

    ids: int [rows] or [rows, k]. programs: they say what a site stands behind where its parents
    do not; without programs nothing is known.
    """
    if site.encoding != "ids" or site.parents or site.drops or not programs:
        return
    first = ids.reshape(len(ids), -1)[:, 0]
    if bool((first == NOT_REACHED).any()) and not _stands_behind_another(site.name, programs):
        raise ValueError(f"a row never reached site {site.name!r}, which stands behind no other")


def _stands_behind_another(site: str, programs: Mapping[str, Program]) -> bool:
    for program in programs.values():
        for loop in loops(program.root):
            for body in loop.bodies.values():
                if any(node.site == site for node in body.nodes):
                    return True
    return False


def rows_at(site: Site, steps: pd.DataFrame) -> int:
    """Return the rows that all units together have at a site."""
    if site.phases:
        steps = steps[steps["phase"].isin(site.phases)]
    units, positions = steps["units"].to_numpy(), steps["seq"].to_numpy()
    of_units = units.sum(dtype=np.float64) * site.unit_rows.a_unit
    of_positions = units.astype(np.float64) @ positions * site.unit_rows.a_position
    of_steps = float(len(steps)) * site.unit_rows.a_step
    return int(of_units + of_positions + of_steps)


def _check_strategies(trace: Trace, folder: Path) -> None:
    """Strategies that are named exist, and are for the mechanism that they are named for."""
    for mechanism, name in trace.header.captured.items():
        _check_known(name, f"{folder}: captured.{mechanism}")
    for site in trace.sites:
        captured = trace.header.captured.get(site.mechanism)
        if captured is not None and not STRATEGIES[captured].is_for(site.routing):
            raise CondsimError(f"{folder}: strategy {captured!r} is not for {site.mechanism}")
    for name in dict.fromkeys(program.strategy for program in trace.programs.values()):
        for part in name.split(","):
            _check_known(part.rpartition("=")[2], f"{folder}: programs")


def _check_known(strategy: str, where: str) -> None:
    try:
        STRATEGIES[strategy]
    except CondsimError as error:
        raise CondsimError(f"{where}: {error}") from None


def _check_steps(trace: Trace, where: Path) -> None:
    for phase in trace.steps["phase"].unique():
        if phase not in PHASES:
            raise CondsimError(f"{where}: a phase is {' or '.join(PHASES)}, got {shown(phase)}")
    if not trace.header.has_decisions:
        return
    if trace.steps.empty:
        raise CondsimError(f"{where} has no rows, so nothing was decided")
    unit_steps = float(trace.steps["units"].to_numpy().sum())
    for site in trace.sites:
        counts = unit_steps * site.branches
        rows = rows_at(site, trace.steps)
        if unit_steps > MOST_UNIT_STEPS or counts > MOST_COUNTS or rows > MOST_ROWS:
            raise CondsimError(
                f"{where} has {unit_steps:,.0f} units of {rows:,} rows at site {site.name!r}, "
                f"which has {site.branches:,} branches; at most {MOST_UNIT_STEPS:,} units, "
                f"{MOST_ROWS:,} rows and {MOST_COUNTS:,} units times branches are read"
            )


def _check_for_programs(header: Header, folder: Path) -> None:
    """What programs need of the header."""
    if not header.sites and header.has_decisions:
        raise CondsimError(f"{folder}: there are programs and decisions, and no sites")
    for site in header.sites:
        if site.mechanism not in header.captured:
            raise CondsimError(f"{folder}: captured does not say how {site.mechanism} was run")
        if not site.branch_flops:
            raise CondsimError(f"{folder}: branch_flops of site {site.name!r} are missing")
        if site.routing.one_of_several and site.name not in header.costliest:
            raise CondsimError(f"{folder}: costliest has no branch of site {site.name!r}")


def _check_measured(table: pd.DataFrame, trace: Trace, where: Path) -> None:
    """Measured rows are each there once, of steps that exist, and of machines that can be told."""
    if table.empty:
        return
    if bool(table.duplicated().any()):
        raise CondsimError(f"{where}: row {int(table.duplicated().argmax())} stands there twice")
    for text in table["fingerprint"].unique():
        _check_fingerprint(text, where)
    units = trace.steps.groupby("phase")["units"].sum()
    for phase, rows in table.groupby("phase"):
        if phase not in units:
            raise CondsimError(f"{where}: the trace has no phase {shown(phase)}")
        ends = (rows["step"] + 1) * rows["batch"]
        if bool((ends > units[phase]).any()):
            worst = int(np.nanargmax(ends))
            step, batch = rows["step"].iloc[worst], rows["batch"].iloc[worst]
            raise CondsimError(
                f"{where}: the trace has {units[phase]} units of phase {phase}; there is no step "
                f"{step:g} of {batch:g} units"
            )


def _check_fingerprint(text: str, where: Path) -> None:
    """A fingerprint is a mapping of texts and whole numbers, as JSON."""
    try:
        machine = json.loads(text)
    except (ValueError, RecursionError):
        machine = None
    if not isinstance(machine, dict):
        raise CondsimError(f"{where}: column fingerprint must be a mapping, got {shown(text)}")
    for value in machine.values():
        if not isinstance(value, (str, int)):
            raise CondsimError(f"{where}: a fingerprint holds texts and numbers: {shown(value)}")
