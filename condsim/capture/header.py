"""The header of a captured trace: its sites, notes, and where it came from."""

from __future__ import annotations

import importlib.metadata
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import numpy as np
import torch

from condsim.capture.observe import Observation
from condsim.capture.sizes import ordered
from condsim.errors import CondsimError
from condsim.hardware import fingerprint
from condsim.live.execution import SiteInfo
from condsim.live.model import LiveModel
from condsim.mechanisms import MECHANISMS
from condsim.program import Program
from condsim.program.accumulation import accumulated
from condsim.program.logical import branch_flops
from condsim.trace import Decisions, Header, Provenance, Site
from condsim.trace.header import ONE_A_UNIT, UnitRows, file_name
from condsim.untrusted import check_name, check_text, one_line

EXITS_FILE = "exits"
"""File of the decisions of a chain of exits, one depth a row."""


@dataclass(frozen=True)
class Labels:
    """What the caller says of a trace.

    name: of the trace. spec: how the model can be built again. command: that captured it.
    quality_name: what `quality` measures. higher_is_better: of the quality.
    Raises CondsimError for a name that no trace can have.
    """

    name: str
    spec: str | None = None
    command: str | None = None
    quality_name: str | None = None
    higher_is_better: bool = True

    def __post_init__(self) -> None:
        for field, text, check in (
            ("name", self.name, check_name),
            ("quality_name", self.quality_name, check_text),
        ):
            try:
                check(text or "-")
            except ValueError as error:
                raise CondsimError(f"{field}: {error}") from None


def header_of(
    live: LiveModel,
    seen: Observation,
    decisions: Mapping[str, Decisions],
    logical: Program,
    costliest: dict[str, int],
    labels: Labels,
) -> Header:
    """The header of a trace.

    decisions: of every site, all steps. logical: the program in which every guard stands alone.
    costliest: site → the branch of the most FLOPs, where rows take one of several.
    """
    logical = accumulated(logical, live.micro_batches)
    exits = chained_exits(live.infos, seen.unit_rows)
    steps = [step for step in seen.steps if step["phase"] == live.phase]
    sites = []
    for name in ordered(live.infos):
        info = live.infos[name]
        of_one_unit = MECHANISMS[info.mechanism].keeps_tokens
        sizes = {} if of_one_unit else _lengths_of(steps[0])
        flops = branch_flops(logical, name, info.branches, of_one_unit, sizes)
        if not of_one_unit:
            seen.notes += _notes_on_lengths(steps, logical, name, flops)
        site = site_of(info, flops, seen.unit_rows[name], decisions[name])
        if site.routing.mixes_experts and not site.parents:
            site = site.model_copy(update={"drops": bool((decisions[name].ids < 0).any())})
        if name in seen.of_one_batch.sites and site.scope == "row":
            site = site.model_copy(update={"scope": "batch"})
        if name in seen.silent:
            site = site.model_copy(update={"phases": (live.phase,)})
        sites.append(_chained(site, exits))
    return Header(
        name=labels.name,
        sites=tuple(sites),
        accumulate=live.micro_batches,
        captured=live.captured,
        costliest=costliest,
        thresholds=_thresholds(live.model),
        notes=tuple(one_line(note) for note in (*notes_of(live), *seen.notes)),
        provenance=provenance_of(live.model, labels),
    )


def _lengths_of(step: Mapping[str, Any]) -> dict[str, int]:
    """The sizes of a step that a sequence's cost follows."""
    return {"seq": int(step["seq"]), "total": int(step["seq"]) + int(step["past"])}


def _notes_on_lengths(
    steps: Sequence[Mapping[str, Any]], logical: Program, site: str, flops: np.ndarray
) -> list[str]:
    """A note where a row of a site costs other FLOPs at another length that was captured.

    flops: at the first one.
    """
    first = steps[0]
    for step in steps:
        if step["seq"] == first["seq"]:
            continue
        other = branch_flops(logical, site, len(flops), sizes=_lengths_of(step))
        if not np.array_equal(other, flops):
            return [
                f"{site}: a row costs what its sequence's length makes of it, and sequences are of "
                f"several lengths; FLOPs that decisions ask for are counted at {first['seq']}"
            ]
    return []


def site_of(
    info: SiteInfo, flops: np.ndarray, unit_rows: UnitRows, decided: Decisions | None = None
) -> Site:
    """A site as the header describes it.

    flops: of a row in each branch. unit_rows: rows that a unit has there. decided: its decisions,
    None where there are none.
    """
    scope: Literal["row", "sequence"] = "row"
    if MECHANISMS[info.mechanism].keeps_tokens:
        scope = "sequence"
    return Site(
        name=info.name,
        mechanism=info.mechanism,
        branches=info.branches,
        top_k=info.top_k,
        parents=info.parents,
        encoding=MECHANISMS[info.mechanism].encoding,
        scope=scope,
        stored=file_name(info.name),
        unit_rows=unit_rows,
        has_weights=decided is not None and decided.weights is not None,
        has_scores=decided is not None and decided.scores is not None,
        branch_flops=tuple(flops.tolist()),
    )


def _chained(site: Site, exits: list[str]) -> Site:
    """The site with its place in a chain of exits. exits: their names, in order."""
    if site.name not in exits:
        return site
    level = exits.index(site.name)
    return site.model_copy(update={"encoding": "depth", "stored": EXITS_FILE, "level": level})


def chained_exits(infos: Mapping[str, SiteInfo], unit_rows: Mapping[str, UnitRows]) -> list[str]:
    """The exits of units, in order, where each stands behind all before it.

    Their decisions are one number a row: the exits that it passed. Empty where the exits are no
    such chain.
    """
    exits: list[str] = []
    for name in ordered(infos):
        info = infos[name]
        if not MECHANISMS[info.mechanism].leaves or unit_rows[name] != ONE_A_UNIT:
            continue
        if info.parents != tuple((exit_before, 1) for exit_before in exits):
            return []
        exits.append(name)
    return exits


def _thresholds(model: torch.nn.Module) -> dict[str, float]:
    """The model's own threshold, where it has one under that name."""
    threshold = getattr(model, "threshold", None)
    if not isinstance(threshold, (int, float)) or not math.isfinite(threshold):
        return {}
    return {"threshold": float(threshold)}


def provenance_of(model: torch.nn.Module, labels: Labels) -> Provenance:
    versions = {name: importlib.metadata.version(name) for name in ("condsim", "torch", "numpy")}
    versions["python"] = sys.version.split()[0]
    parameters = list(model.parameters())
    dtype = str(parameters[0].dtype) if parameters else "float32"
    return Provenance(
        model=f"{type(model).__module__}.{type(model).__qualname__}",
        spec=labels.spec,
        command=labels.command and one_line(labels.command),
        taken=datetime.now(UTC).isoformat(timespec="seconds"),
        versions=versions,
        machine=dict(fingerprint(torch.get_num_threads())),
        dtype=dtype.removeprefix("torch."),
        parameters=sum(p.numel() for p in parameters),
        parameter_bytes=sum(p.numel() * p.element_size() for p in parameters),
        quality_name=labels.quality_name,
        higher_is_better=labels.higher_is_better,
    )


def notes_of(live: LiveModel) -> tuple[str, ...]:
    """What a reader of the trace should know of its sites."""
    notes = []
    routerless = []
    for site in live.sites:
        if not live.infos.keys().isdisjoint(site.sites):
            notes += site.notes
        if site.router is None:
            routerless.append(site.name)
    if routerless:
        notes.append(
            f"the router of {routerless[0]} was not found as a module: "
            "baselines measured here still run it"
        )
    for strategy, reason in live.left_out.items():
        notes.append(f"{strategy} is left out: {reason}")
    return tuple(notes)
