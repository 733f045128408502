"""Load and save traces: a folder of Parquet and JSON, columnar, written whole or not at all."""

from __future__ import annotations

import gzip
import json
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.lib as pa
import pyarrow.parquet as pq
from pyarrow.lib import ArrowException
from pydantic import ValidationError

from condsim.errors import CondsimError
from condsim.files import locked, named_errors, stamp
from condsim.hardware import load_profile
from condsim.program import from_json, to_json
from condsim.trace import MEASUREMENTS, SCHEMA_VERSION, SEGMENTS, Decisions, Header, Site, Trace
from condsim.trace.measured import joined, lost
from condsim.trace.swap import (
    DECISIONS,
    HEADER,
    OPTIONAL,
    appear,
    check_places,
    entries,
    finish,
    pending,
    probe,
    replace,
    settle,
    staging,
)

ROW_GROUP = 65536
STEPS = ("phase", "units", "seq", "past")
CASE = ("strategy", "baseline", "phase", "batch", "conditional_s", "baseline_s", "fingerprint")


def check_target(folder: str | Path, force: bool = False) -> Path:
    """The folder that a trace would be saved to, links resolved; nothing is left in it.

    Raises CondsimError where it holds anything but a trace, cannot be written to, or holds a trace
    with measurements and `force` is not given.
    """
    with named_errors(folder):
        target = Path(folder).resolve()
        _check_ours(Path(folder), target)
        probe(target)
        if not force:
            _check_measured(None, Path(folder))
    return target


def save(trace: Trace, folder: Path, force: bool = False) -> Path:
    """Write `trace` to `folder`; an older trace there is replaced in one step.

    Other files are kept.
    Raises CondsimError where the folder holds something else and no trace, where measurements in it
    would be lost and `force` is not given, and where it cannot be written; nothing is changed then.
    """
    target = check_target(folder, force=True)
    with named_errors(folder, "cannot be saved to"):
        if not force:
            _check_measured(trace, folder)
        with staging(target) as work:
            _write(trace, work)
            if not appear(work, target):
                _replace(trace, work, Path(folder), force)
    return folder


def _replace(trace: Trace, work: Path, folder: Path, force: bool) -> None:
    """Publish in a folder that exists, looking once more at what is in it now."""
    target = folder.resolve()
    with locked(target):
        finish(target)
        _check_ours(folder, target)
        if not force:
            _check_measured(trace, folder)
        replace(work, target, _unused(trace, work, target))


def add_measured(folder: Path, timed: Trace, opened: Trace) -> Trace:
    """Add what `timed` has over `opened` to the trace in `folder`, as it is by now; returns that.

    Others may have added to it meanwhile. Where there is no folder, `timed` is saved there.
    Raises CondsimError where the folder holds another trace by now, or cannot be written to.
    """
    target = check_target(folder, force=True)
    if not target.exists() and _first(timed, target, folder):
        return timed
    with named_errors(folder, "cannot be saved to"), staging(target) as work, locked(target):
        finish(target)
        now = _load(folder)
        if now.header != opened.header:
            raise CondsimError(
                f"{folder} holds another trace than the one that was measured; "
                "nothing was changed, measure it again"
            )
        now = joined(now, timed, opened)
        _write_measured(now, work)
        replace(work, target, [])
        return now


def _first(trace: Trace, target: Path, folder: Path) -> bool:
    """Save where there is no folder; returns False where somebody else has made one meanwhile."""
    with named_errors(folder, "cannot be saved to"), staging(target) as work:
        _write(trace, work)
        return appear(work, target)


def _check_ours(folder: Path, target: Path) -> None:
    """Raises CondsimError where a folder holds what condsim did not write, and no trace."""
    if not os.path.lexists(target):
        return
    if not target.is_dir():
        raise CondsimError(f"{folder} is a file; name a folder for the trace")
    settle(target)
    if not entries(target):
        return
    refused = f"{folder} exists and is not a trace; choose another folder, nothing was overwritten"
    if not (target / HEADER).is_file():
        raise CondsimError(refused)
    try:
        _header(target / HEADER)
    except CondsimError as e:
        raise CondsimError(f"{refused} ({e})") from e
    check_places(target)


def _check_measured(trace: Trace | None, folder: Path) -> None:
    """Raises CondsimError where a folder's trace has measurements that `trace` has not.

    trace: None for one that is not there yet, and will have none.
    """
    way_out = "--force (force=True in Python) replaces it all the same"
    try:
        measurements = _measurements(folder / "measurements.parquet")
        segments = _segments(folder / "segments.parquet")
    except CondsimError as e:
        raise CondsimError(
            f"measurements in {folder} would be lost, and cannot be read; {way_out} ({e})"
        ) from e
    if trace is None:
        count = len(measurements) + len(segments)
    else:
        count = lost(measurements, segments, trace)
    if count:
        raise CondsimError(
            f"{folder} holds {count} rows of measurements that would be lost; "
            f"choose another folder, or {way_out}"
        )


def _unused(trace: Trace, work: Path, target: Path) -> list[str]:
    """Files of the older trace in a folder that the new one does not have."""
    found = [name for name in OPTIONAL if not (work / name).exists()]
    if (target / HEADER).is_file():
        kept = {s.stored for s in trace.sites}
        older = {s.stored for s in _header(target / HEADER).sites}
        found += [f"{DECISIONS}/{stored}.parquet" for stored in sorted(older - kept)]
    return [name for name in found if os.path.lexists(target / name)]


def _write(trace: Trace, folder: Path) -> None:
    (folder / HEADER).write_text(trace.header.model_dump_json(indent=1) + "\n", encoding="utf-8")
    with gzip.GzipFile(folder / "programs.json.gz", "wb", mtime=0) as f:
        f.write(json.dumps(to_json(trace.programs), separators=(",", ":")).encode())
    trace.steps.to_parquet(folder / "steps.parquet", index=False)
    if not trace.quality.empty:
        trace.quality.to_parquet(folder / "quality.parquet", index=False)
    _write_measured(trace, folder)
    (folder / "decisions").mkdir()
    for file in dict.fromkeys(s.stored for s in trace.sites):
        sites = [s for s in trace.sites if s.stored == file]
        _write_decisions(trace, sites, folder / "decisions" / f"{file}.parquet")


def _write_measured(trace: Trace, folder: Path) -> None:
    """What measuring adds to a trace."""
    if not trace.measurements.empty:
        trace.measurements.to_parquet(folder / "measurements.parquet", index=False)
    if not trace.segments.empty:
        trace.segments.to_parquet(folder / "segments.parquet", index=False)
    if trace.profile is not None:
        trace.profile.save(folder / "profile.yaml")


def _write_decisions(trace: Trace, sites: list[Site], path: Path) -> None:
    writer: pq.ParquetWriter | None = None
    try:
        for blocks in zip(*(trace.reader(s.name) for s in sites), strict=True):
            table = pa.Table.from_pydict(_columns(sites, blocks))
            if writer is None:
                writer = pq.ParquetWriter(path, table.schema, compression="zstd")
            writer.write_table(table, row_group_size=ROW_GROUP)
    finally:
        if writer is not None:
            writer.close()


def _columns(sites: list[Site], blocks: tuple[Decisions, ...]) -> dict[str, np.ndarray]:
    site, block = sites[0], blocks[0]
    columns: dict[str, np.ndarray] = {}
    if site.encoding == "depth":
        columns["depth"] = np.sum([b.ids == 1 for b in blocks], axis=0).astype(np.int8)
        for s, b in zip(sites, blocks, strict=True):
            if b.scores is not None:
                columns[f"score_{s.level}"] = b.scores.astype(np.float32)
        return columns
    if site.encoding == "bits":
        packed = np.packbits(block.ids, axis=1)
        return {f"bits_{i}": packed[:, i] for i in range(packed.shape[1])}
    ids = block.ids.reshape(len(block.ids), -1)
    small = np.int8 if site.branches <= 127 else np.int16
    columns |= {f"id_{j}": ids[:, j].astype(small) for j in range(ids.shape[1])}
    if block.weights is not None:
        columns |= {f"weight_{j}": block.weights[:, j] for j in range(block.weights.shape[1])}
    if block.scores is not None:
        columns["score"] = block.scores
    return columns


def load(folder: str | Path) -> Trace:
    """Open a trace; decisions are read when they are asked for.

    Raises CondsimError for a missing, truncated or newer trace, naming the file. Reading decisions
    raises it where the files were replaced after the trace was opened.
    """
    folder = Path(folder)
    while True:
        settle(folder)
        with locked(folder, shared=True):
            if not pending(folder):
                return _load(folder)


def _load(folder: Path) -> Trace:
    """Open the trace in a folder that is locked."""
    if not (folder / "trace.json").is_file():
        raise CondsimError(
            f"{folder} is not a trace: it has no trace.json (condsim capture SPEC -o FOLDER makes one)"
        )
    header = _header(folder / "trace.json")
    programs_file = folder / "programs.json.gz"
    try:
        programs = from_json(json.loads(gzip.decompress(programs_file.read_bytes())))
    except (OSError, EOFError, ValueError, KeyError, IndexError, TypeError) as e:
        raise CondsimError(
            f"{programs_file} is damaged or truncated ({type(e).__name__}); capture the trace again"
        ) from e
    steps = _with_columns(folder / "steps.parquet", STEPS)
    profile_file = folder / "profile.yaml"
    trace = Trace(
        header,
        steps,
        programs,
        _reader(folder, header),
        _table(folder / "quality.parquet")
        if (folder / "quality.parquet").exists()
        else pd.DataFrame(),
        _measurements(folder / "measurements.parquet"),
        _segments(folder / "segments.parquet"),
        load_profile(profile_file) if profile_file.exists() else None,
    )
    for site in header.sites:
        path = folder / "decisions" / f"{site.stored}.parquet"
        expected = int(trace.rows_per_unit(site).sum())
        found = _metadata(path).num_rows
        if found != expected:
            raise CondsimError(
                f"{path} has {found} rows where the steps need {expected}; the trace is damaged, capture it again"
            )
    return trace


def _header(path: Path) -> Header:
    try:
        data = json.loads(path.read_text())
    except ValueError as e:
        raise CondsimError(f"{path} is damaged or truncated ({e}); capture the trace again") from e
    version = data.get("schema_version") if isinstance(data, dict) else None
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise CondsimError(
            f"{path}: schema version {version} is newer than this condsim reads ({SCHEMA_VERSION}); upgrade condsim"
        )
    try:
        return Header.model_validate(data)
    except ValidationError as e:
        first = e.errors()[0]
        raise CondsimError(
            f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']} (got {first['input']!r:.60})"
        ) from e


def _metadata(path: Path) -> Any:
    try:
        return pq.read_metadata(path)
    except FileNotFoundError:
        raise CondsimError(
            f"{path} is missing; the trace is incomplete, capture it again"
        ) from None
    except (ArrowException, OSError) as e:
        raise CondsimError(
            f"{path} is damaged or truncated ({type(e).__name__}); capture the trace again"
        ) from e


def _measurements(path: Path) -> pd.DataFrame:
    """All columns, those that an older version did not write empty."""
    return (_with_columns(path, CASE) if path.exists() else pd.DataFrame()).reindex(
        columns=list(MEASUREMENTS)
    )


def _segments(path: Path) -> pd.DataFrame:
    return _with_columns(path, SEGMENTS) if path.exists() else pd.DataFrame(columns=list(SEGMENTS))


def _table(path: Path) -> pd.DataFrame:
    _metadata(path)
    try:
        return pd.read_parquet(path)
    except (ArrowException, OSError) as e:
        raise CondsimError(
            f"{path} is damaged or truncated ({type(e).__name__}); capture the trace again"
        ) from e


def _with_columns(path: Path, names: Iterable[str]) -> pd.DataFrame:
    table = _table(path)
    missing = [n for n in names if n not in table]
    if missing:
        raise CondsimError(
            f"{path} has no column {', '.join(missing)}; the trace is damaged, capture it again"
        )
    return table


def _reader(folder: Path, header: Header) -> Any:
    """Reads decisions late, from the files that are there now and no others."""
    place = folder.resolve() / DECISIONS
    stamps = {s.stored: stamp(place / f"{s.stored}.parquet") for s in header.sites}

    def read(name: str) -> Iterator[Decisions]:
        site = next(s for s in header.sites if s.name == name)
        file_of_site = f"{site.stored}.parquet"
        path = folder / DECISIONS / file_of_site

        def check() -> None:
            if stamp(place / file_of_site) != stamps[site.stored]:
                raise CondsimError(f"{folder} changed while it was open; load it again")

        check()
        try:
            file = pq.ParquetFile(place / file_of_site)
            check()
            for group in range(file.num_row_groups):
                table = file.read_row_group(group)
                check()
                yield _decode(site, {c: table[c].to_numpy() for c in table.column_names})
        except CondsimError:
            raise
        except (ArrowException, OSError, KeyError, ValueError) as e:
            check()
            raise CondsimError(
                f"{path} is damaged or truncated ({type(e).__name__}); capture the trace again"
            ) from e

    return read


def _decode(site: Site, columns: dict[str, np.ndarray]) -> Decisions:
    if site.encoding == "depth":
        depth = columns["depth"]
        ids = np.where(depth < site.level, -1, depth > site.level).astype(np.int8)
        return Decisions(ids, scores=columns.get(f"score_{site.level}"))
    if site.encoding == "bits":
        packed = np.stack([columns[f"bits_{i}"] for i in range(len(columns))], axis=1)
        return Decisions(np.unpackbits(packed, axis=1, count=site.branches).astype(bool))
    k = sum(c.startswith("id_") for c in columns)
    ids = np.stack([columns[f"id_{j}"] for j in range(k)], axis=1)
    weights = (
        np.stack([columns[f"weight_{j}"] for j in range(k)], axis=1)
        if "weight_0" in columns
        else None
    )
    return Decisions(ids if site.top_k is not None else ids[:, 0], weights, columns.get("score"))


def in_memory(decisions: dict[str, Decisions]) -> Any:
    """A reader over arrays, in blocks of the size that files have."""

    def read(name: str) -> Iterator[Decisions]:
        d = decisions[name]
        for at in range(0, max(len(d.ids), 1), ROW_GROUP):
            part = slice(at, at + ROW_GROUP)
            yield Decisions(
                d.ids[part],
                None if d.weights is None else d.weights[part],
                None if d.scores is None else d.scores[part],
            )

    return read


def file_name(site: str) -> str:
    """A site's name as a file name."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", site)
