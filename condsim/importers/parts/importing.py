"""From files of recorded routing to a trace without programs."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from condsim import checks
from condsim.errors import CondsimError
from condsim.importers.parts.base import IMPORTERS, Importer, ModelShape
from condsim.importers.parts.notes import FILES_NAMED, notes_of
from condsim.importers.parts.peek import Peek
from condsim.importers.parts.spool import DECODE, PREFILL, Spool
from condsim.importers.parts.tidy import FileNumbers, Findings, examine, kept_steps, tidied
from condsim.mechanisms import MECHANISMS
from condsim.trace import Decisions, Header, Provenance, Site, Trace
from condsim.trace.columns import STEP_COLUMNS
from condsim.trace.encoding import ROW_GROUP, id_dtype
from condsim.trace.header import MOST_BRANCHES
from condsim.trace.model import Reader
from condsim.untrusted import check_path

PHASES = (PREFILL, DECODE)


@dataclass(frozen=True)
class Imported:
    """A trace of recorded routing, and what each file held."""

    trace: Trace
    files: tuple[FileNumbers, ...]


def import_routing(
    files: str | Path | Iterable[str | Path],
    format: str | None = None,
    *,
    model: ModelShape | Trace | None = None,
    phase: str | None = None,
    name: str | None = None,
    keep_constant: bool = False,
) -> Trace:
    """Read routing that a serving engine or a training framework recorded.

    files: one or several, of one format and one model.
    format: of `condsim.importers.IMPORTERS`; None: recognised by what the files hold.
    model: what the files leave unsaid: layers, experts, experts a token. Or a captured trace of the
        model, which says that, and whose programs the result takes (`Trace.with_routing`).
    phase: "prefill": a sequence is one step. "decode": a token is. None: as the files say, else
        prefill.
    name: of the trace; the first file's by default.
    keep_constant: keep runs of eight or more equal tokens, which are dummy batches as a rule.
    Returns a trace, without programs unless `model` has them. Its notes say what was found and what
        was left out; its decisions lie in a temporary folder until it is saved.
    Raises CondsimError for files that are damaged, no routing, or of several models.
    """
    named = files if isinstance(files, Iterable) and not isinstance(files, str) else [files]
    paths = [check_path(file, "recorded routing") for file in named]
    checks.name("name", name)
    if not isinstance(model, Trace):
        shape = model or ModelShape()
        return read_routing(paths, format, shape, phase, name, keep_constant).trace
    shape = ModelShape.of(model)
    routing = read_routing(paths, format, shape, phase, name, keep_constant).trace
    return model.with_routing(routing)


def read_routing(
    paths: Sequence[Path],
    format: str | None,
    shape: ModelShape,
    phase: str | None,
    name: str | None,
    keep_constant: bool,
) -> Imported:
    """Do what `import_routing` does, and tell what each file held."""
    if phase not in (None, *PHASES):
        raise CondsimError(f"phase must be {' or '.join(PHASES)}, got {phase!r}")
    reader = _importer_for(paths, format)
    spool = Spool()
    reader.read(paths, shape, spool)
    spool.finish()
    _check_layers(spool, shape)
    experts = shape.experts or spool.default_experts
    findings = examine(spool, experts, drop_constant=not keep_constant)
    steps = _steps(spool, findings, phase)
    provenance = _provenance(paths, reader, name)
    trace = _trace(spool, findings, steps, provenance)
    return Imported(trace, tuple(findings.files))


def _importer_for(paths: Sequence[Path], format: str | None) -> Importer:
    """The importer of files. Raises CondsimError where none reads them, or not all the same."""
    if not paths:
        raise CondsimError("name at least one file to import")
    peeks = [Peek(path) for path in paths]
    for peek in peeks:
        if peek.refusal is not None:
            raise CondsimError(peek.refusal)
    if format is not None:
        return IMPORTERS[format]
    chosen = [_recognised(peek) for peek in peeks]
    for peek, other in zip(peeks, chosen, strict=True):
        if other is not chosen[0]:
            raise CondsimError(
                f"{paths[0]} is {chosen[0].name} and {peek.path} is {other.name}; import files of "
                "one format at a time"
            )
    return chosen[0]


def _recognised(file: Peek) -> Importer:
    for candidate in sorted(IMPORTERS.values(), key=lambda importer: importer.by_shape):
        if candidate.recognises(file):
            return candidate
    raise CondsimError(
        f"{file.path} has no layout of routing that is known ({', '.join(IMPORTERS)}); name one "
        "with --format (format=), or write one of these"
    )


def _check_layers(spool: Spool, shape: ModelShape) -> None:
    """Raises CondsimError where the files are not of the model that the caller describes."""
    for number, layer in spool.layers.items():
        if shape.top_k is not None and layer.top_k != shape.top_k:
            raise CondsimError(
                f"layer {number} has {layer.top_k} experts a token where the model has "
                f"{shape.top_k}: the file is of another model"
            )
    if shape.layers is not None and len(spool.layers) != shape.layers:
        raise CondsimError(
            f"the files have {len(spool.layers)} layers where the model has {shape.layers}: they "
            "are of another model"
        )

    said = {spool.experts.get(number, spool.default_experts) for number in spool.layers}
    for experts in said - {None, shape.experts}:
        if shape.experts is not None:
            raise CondsimError(
                f"the files say that a layer has {experts} experts where the model has "
                f"{shape.experts}: they are of another model"
            )


def _provenance(paths: Sequence[Path], reader: Importer, name: str | None) -> Provenance:
    """Where the trace comes from. Its `model` is the trace's name, too."""
    from condsim import __version__

    taken = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    named = [path.name for path in paths[:FILES_NAMED]]
    if len(paths) > FILES_NAMED:
        named.append("...")
    command = ["condsim import", *named, "--format", reader.name]
    return Provenance(
        model=name or paths[0].stem,
        command=" ".join(command),
        taken=taken,
        versions={"condsim": __version__},
    )


def _trace(spool: Spool, findings: Findings, steps: pd.DataFrame, provenance: Provenance) -> Trace:
    """The trace of what is kept."""
    mechanism = next(name for name, m in MECHANISMS.items() if m.mixes_experts)
    sites = []
    for number in findings.layers:
        layer = spool.layers[number]
        _require_possible(findings.experts[number])
        top_k = None if number in spool.single else layer.top_k
        site = Site(
            name=spool.names.get(number, f"layers.{number}"),
            mechanism=mechanism,
            branches=findings.experts[number],
            top_k=top_k,
            unit_rows=spool.unit_rows,
            has_weights="weights" in layer.parts and findings.finite,
        )
        sites.append(site)
    header = Header(
        name=provenance.model,
        sites=tuple(sites),
        captured={},
        notes=tuple(notes_of(spool, findings)),
        has_programs=False,
        provenance=provenance,
    )
    reader = _reader(spool, findings, header.sites)
    return Trace(header, steps, {}, reader)


def _require_possible(experts: int) -> None:
    """Raises CondsimError for more experts than a layer can have."""
    if experts > MOST_BRANCHES:
        raise CondsimError(
            f"the files have expert ids up to {experts - 1:,}, and a layer has at most "
            f"{MOST_BRANCHES:,} experts: the ids are damaged, or of another dtype than the format "
            "says"
        )


def _steps(spool: Spool, findings: Findings, phase: str | None) -> pd.DataFrame:
    """The steps of the tokens that are kept, in the phase that is asked for."""
    rows = spool.steps
    if not findings.kept.all():
        rows = kept_steps(rows, findings.kept)
    if phase == PREFILL:
        rows = [(PREFILL, units, seq, 0) for _, units, seq, _ in rows]
    steps = pd.DataFrame(rows, columns=STEP_COLUMNS)
    return _one_token_a_step(steps) if phase == DECODE else steps


def _one_token_a_step(steps: pd.DataFrame) -> pd.DataFrame:
    """Steps of one position of one unit each, in the order of the rows."""
    units = steps["units"].to_numpy()
    seq = np.repeat(steps["seq"].to_numpy(), units)
    past = np.repeat(steps["past"].to_numpy(), units)
    first_row = np.cumsum(seq) - seq
    from_positions_to_rows = np.repeat(first_row - past, seq)
    position = np.arange(seq.sum()) - from_positions_to_rows
    return pd.DataFrame({"phase": DECODE, "units": 1, "seq": 1, "past": position})


def _reader(spool: Spool, findings: Findings, sites: Sequence[Site]) -> Reader:
    """Reads what is kept of the spool, a block at a time; the spool lives as long as this does."""
    numbers = {site.name: n for site, n in zip(sites, findings.layers, strict=True)}
    by_name = {site.name: site for site in sites}

    def read(name: str) -> Iterator[Decisions]:
        site = by_name[name]
        layer = spool.layers[numbers[name]]
        dtype = id_dtype(site.branches)
        for start in range(0, layer.rows, ROW_GROUP):
            stop = start + ROW_GROUP
            kept = findings.kept[start:stop]
            ids = layer.read("ids", start, stop)
            if not spool.clean:
                ids = tidied(ids, site.branches)
            chosen = ids[kept].astype(dtype)
            if site.top_k is None:
                chosen = chosen[:, 0]
            weights = None
            if site.has_weights:
                weights = layer.read("weights", start, stop)[kept]
            yield Decisions(chosen, weights)

    return read
