"""Save a trace: a folder of Parquet and JSON, written whole or not at all."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.lib as pa
import pyarrow.parquet as pq

from condsim.errors import CondsimError
from condsim.files import locked, named_errors
from condsim.program import to_json
from condsim.trace.encoding import ROW_GROUP, Columns, check_block, compression_of, encode
from condsim.trace.header import SCHEMA_VERSION, Site
from condsim.trace.measured import joined, lost
from condsim.trace.model import Decisions, Trace
from condsim.trace.read import (
    PROGRAMS,
    open_locked,
    read_header,
    read_measurements,
    read_segments,
)
from condsim.trace.swap import (
    DECISIONS,
    HEADER,
    OPTIONAL,
    appear,
    check_places,
    entries,
    finish,
    probe,
    replace,
    settle,
    staging,
)
from condsim.trace.validate import check_all, check_reached, rows_at


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
    Raises CondsimError for what opening would refuse, where the folder holds something else and no
    trace, where measurements in it would be lost and `force` is not given, and where it cannot be
    written; nothing is changed then.
    """
    check_all(trace, folder)
    target = check_target(folder, force=True)
    with named_errors(folder, "cannot be saved to"):
        if not force:
            _check_measured(trace, folder)
        with staging(target) as work:
            write(trace, work)
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
        now = open_locked(folder)
        if now.header != opened.header:
            raise CondsimError(
                f"{folder} holds another trace than the one that was measured; "
                "nothing was changed, measure it again"
            )
        now = joined(now, timed, opened)
        check_all(now, folder)
        _write_measured(now, work)
        replace(work, target, [])
        return now


def _first(trace: Trace, target: Path, folder: Path) -> bool:
    """Save where there is no folder; returns False where somebody else has made one meanwhile."""
    check_all(trace, folder)
    with named_errors(folder, "cannot be saved to"), staging(target) as work:
        write(trace, work)
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
        read_header(target / HEADER)
    except CondsimError as error:
        raise CondsimError(f"{refused} ({error})") from error
    check_places(target)


def _check_measured(trace: Trace | None, folder: Path) -> None:
    """Raises CondsimError where a folder's trace has measurements that `trace` has not.

    trace: None for one that is not there yet, and will have none.
    """
    way_out = "--force (force=True in Python) replaces it all the same"
    try:
        measurements = read_measurements(folder / "measurements.parquet")
        segments = read_segments(folder / "segments.parquet")
    except CondsimError as error:
        raise CondsimError(
            f"measurements in {folder} would be lost, and cannot be read; {way_out} ({error})"
        ) from error
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
    unused = [name for name in OPTIONAL if not (work / name).exists()]
    if (target / HEADER).is_file():
        kept = {site.stored for site in trace.sites} if trace.header.has_decisions else set()
        older = {site.stored for site in read_header(target / HEADER).sites}
        unused += [f"{DECISIONS}/{stored}.parquet" for stored in sorted(older - kept)]
    return [name for name in unused if os.path.lexists(target / name)]


def write(trace: Trace, folder: Path) -> None:
    """Write the files of a trace into an empty folder."""
    header = trace.header.model_copy(update={"schema_version": SCHEMA_VERSION})
    (folder / HEADER).write_text(header.model_dump_json(indent=1) + "\n", encoding="utf-8")
    if header.has_programs:
        text = json.dumps(to_json(trace.programs), separators=(",", ":"))
        with gzip.GzipFile(folder / PROGRAMS, "wb", mtime=0) as file:
            file.write(text.encode())
    trace.steps.to_parquet(folder / "steps.parquet", index=False)
    if not trace.quality.empty:
        trace.quality.to_parquet(folder / "quality.parquet", index=False)
    _write_measured(trace, folder)
    (folder / DECISIONS).mkdir()
    if header.has_decisions:
        for stored in dict.fromkeys(site.stored for site in trace.sites):
            sites = [site for site in trace.sites if site.stored == stored]
            _write_decisions(trace, sites, folder / DECISIONS / f"{stored}.parquet")


def _write_measured(trace: Trace, folder: Path) -> None:
    """What measuring adds to a trace."""
    if not trace.measurements.empty:
        trace.measurements.to_parquet(folder / "measurements.parquet", index=False)
    if not trace.segments.empty:
        trace.segments.to_parquet(folder / "segments.parquet", index=False)
    if trace.profile is not None:
        trace.profile.save(folder / "profile.yaml")


def _write_decisions(trace: Trace, sites: list[Site], path: Path) -> None:
    """Write the decisions of the sites that share a file, a block at a time."""
    readers = [trace.reader(site.name) for site in sites]
    writer: pq.ParquetWriter | None = None
    written = 0
    try:
        for blocks in zip(*readers, strict=True):
            _check_blocks(trace, sites, blocks)
            written += len(blocks[0].ids)
            table = _without_nulls(encode(sites, blocks))
            if writer is None:
                compression = {name: compression_of(name) for name in table.column_names}
                writer = pq.ParquetWriter(path, table.schema, compression=compression)
            writer.write_table(table, row_group_size=ROW_GROUP)
    finally:
        if writer is not None:
            writer.close()
    needed = rows_at(sites[0], trace.steps)
    if written != needed:
        raise CondsimError(
            f"site {sites[0].name!r} has decisions of {written} rows where the steps need {needed}"
        )


def _check_blocks(trace: Trace, sites: list[Site], blocks: Sequence[Decisions]) -> None:
    """Raises CondsimError for decisions that opening would refuse."""
    try:
        for site, block in zip(sites, blocks, strict=True):
            check_block(site, block)
            check_reached(site, block.ids, trace.programs)
    except ValueError as error:
        raise CondsimError(str(error)) from None


def _without_nulls(columns: Columns) -> Any:
    """Columns as a table that says that none of them has nulls, which is read faster."""
    arrays = [pa.array(values) for values in columns.values()]
    fields = []
    for name, array in zip(columns, arrays, strict=True):
        fields.append(pa.field(name, array.type, nullable=False))
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields))
