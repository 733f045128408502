"""The programs of one trace with the routing of another: a captured model, and how it was used."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pandas as pd

from condsim.errors import CondsimError
from condsim.program.regime import Regime
from condsim.trace.header import Header
from condsim.trace.model import Decisions, Reader, Trace


def with_routing(trace: Trace, routing: Trace) -> Trace:
    """Return a trace that executes what `trace` does and decides what `routing` did.

    Layers of experts are matched in order. Measurements and quality are left out: they belong to
    other decisions.
    Raises CondsimError where the two are not of the same model, as far as can be seen.
    """
    trace.require_programs()
    routing.require_decisions()
    _check_sites(trace, routing)
    _check_phases(trace, routing)
    ours = [site.name for site in trace.sites]
    theirs = [site.name for site in routing.sites]
    names = dict(zip(ours, theirs, strict=True))

    def read(site: str) -> Iterator[Decisions]:
        return routing.reader(names[site])

    return replace(
        trace,
        header=_header(trace, routing),
        steps=routing.steps,
        reader=read,
        quality=pd.DataFrame(),
        measurements=trace.measurements.iloc[:0],
        segments=trace.segments.iloc[:0],
        profile=None,
    )


def with_reader(trace: Trace, reader: Reader, steps: pd.DataFrame, note: str) -> Trace:
    """Return a trace of programs with decisions that were drawn or follow from a schedule.

    reader: gives those of every site, in the order of the steps' rows. steps: a table as traces
    have it. note: where the decisions are from.
    """
    trace.require_programs()
    notes = (*trace.header.notes, note)
    header = trace.header.model_copy(update={"notes": notes, "has_decisions": True})
    return replace(trace, header=header, steps=steps, reader=reader)


def _check_sites(trace: Trace, routing: Trace) -> None:
    if len(trace.sites) != len(routing.sites):
        raise CondsimError(
            f"routing {routing.name!r} has {len(routing.sites)} sites and trace "
            f"{trace.name!r} has {len(trace.sites)}: they are of other models"
        )
    for ours, theirs in zip(trace.sites, routing.sites, strict=True):
        if ours.mechanism != theirs.mechanism:
            raise CondsimError(
                f"site {theirs.name!r} of routing {routing.name!r} is {theirs.routing.title} and "
                f"{ours.name!r} of trace {trace.name!r} is {ours.routing.title}: they are of other "
                "models"
            )
        for what, words in (("branches", "branches"), ("top_k", "experts a token")):
            one, other = getattr(ours, what), getattr(theirs, what)
            if one != other:
                raise CondsimError(
                    f"layer {theirs.name!r} of routing {routing.name!r} has {other} {words} and "
                    f"{ours.name!r} of trace {trace.name!r} has {one}: they are of other models"
                )
        if ours.unit_rows != theirs.unit_rows:
            raise CondsimError(
                f"{ours.name!r} of trace {trace.name!r} does not see one row a token, as recorded "
                "routing does"
            )


def _check_phases(trace: Trace, routing: Trace) -> None:
    """Raises CondsimError where the routing has a phase that no program is for."""
    regimes = [Regime.parse(name.rsplit("/", 1)[-1]) for name in trace.programs]
    known = list(dict.fromkeys(regime.phase for regime in regimes))
    for phase in dict.fromkeys(routing.steps["phase"]):
        if phase not in known:
            raise CondsimError(
                f"routing {routing.name!r} has {phase} steps and trace {trace.name!r} programs for "
                f"{', '.join(known)} only; capture it with new_tokens=1 (--new-tokens 1), or "
                f"import the routing with phase={known[0]!r} (--phase {known[0]})"
            )


def _header(trace: Trace, routing: Trace) -> Header:
    """The header of the programs, with what is true of the routing.

    Without a spec: the model does not decide so on its own inputs, so it cannot be measured.
    """
    sites = []
    for ours, theirs in zip(trace.sites, routing.sites, strict=True):
        scored = {"has_weights": theirs.has_weights, "has_scores": theirs.has_scores}
        sites.append(ours.model_copy(update=scored))
    provenance = trace.header.provenance.model_copy(
        update={"spec": None, "command": None, "quality_name": None}
    )
    note = f"programs of {trace.name}, routing of {routing.name}"
    return trace.header.model_copy(
        update={
            "name": f"{trace.name} on {routing.name}",
            "sites": tuple(sites),
            "notes": (*trace.header.notes, note, *routing.header.notes),
            "has_decisions": True,
            "provenance": provenance,
        }
    )
