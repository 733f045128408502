"""Open a trace: a folder of Parquet and JSON, whose decisions are read when they are asked for."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
from pydantic import ValidationError

from condsim.errors import CondsimError
from condsim.files import locked, stamp
from condsim.hardware import load_profile
from condsim.program import Program, from_json
from condsim.trace.columns import (
    MEASURED,
    MEASUREMENTS,
    MOST_MEASURED,
    MOST_STEPS,
    SEGMENTS,
    STEPS,
    TIMED_PARTS,
)
from condsim.trace.encoding import Columns, check_block, check_depth, decode, stored_columns
from condsim.trace.header import SCHEMA_VERSION, Header, Site
from condsim.trace.model import Decisions, Reader, Trace
from condsim.trace.swap import DECISIONS, HEADER, pending, settle
from condsim.trace.tables import read_numbers, read_table
from condsim.trace.validate import check, check_reached, rows_at
from condsim.untrusted import (
    MEBIBYTE,
    broken_rule,
    check_is_file,
    check_path,
    parse_json,
    parsing,
    read_bytes,
    read_gzip,
)

PROGRAMS = "programs.json.gz"
MOST_OF_HEADER = 16 * MEBIBYTE
MOST_OF_PROGRAMS = 64 * MEBIBYTE
"""Unpacked."""


def load(folder: str | Path) -> Trace:
    """Open a trace; decisions are read when they are asked for.

    Everything else is checked: types, sizes, ranges, and that what is named exists
    (`docs/files.md`). Decisions are checked block by block when they are read.
    Raises CondsimError for a missing, damaged or newer trace and for what breaks a rule, naming the
    file. Reading decisions raises it too, and where files were replaced after the trace was opened.
    """
    folder = check_path(folder, "a trace")
    while True:
        settle(folder)
        with locked(folder, shared=True):
            if not pending(folder):
                return open_locked(folder)


def open_locked(folder: Path) -> Trace:
    """Open the trace in a folder that is locked."""
    if not (folder / HEADER).is_file():
        raise CondsimError(
            f"{folder} is not a trace: it has no {HEADER} "
            "(condsim capture SPEC -o FOLDER makes one)"
        )
    header = read_header(folder / HEADER)
    quality, profile = folder / "quality.parquet", folder / "profile.yaml"
    programs = _programs(folder / PROGRAMS, header) if header.has_programs else {}
    quality_table = read_numbers(quality, MOST_MEASURED) if quality.exists() else pd.DataFrame()
    captured_on = load_profile(profile) if profile.exists() else None
    trace = Trace(
        header,
        read_table(folder / "steps.parquet", STEPS, MOST_STEPS),
        programs,
        _reader(folder, header, programs),
        quality_table,
        read_measurements(folder / "measurements.parquet"),
        read_segments(folder / "segments.parquet"),
        captured_on,
    )
    check(trace, folder)
    if header.has_decisions:
        _check_decisions(folder, trace)
    return trace


def _check_decisions(folder: Path, trace: Trace) -> None:
    """Raises CondsimError where a site's file lacks columns, or rows that the steps need."""
    found: dict[str, tuple[int, Mapping[str, str]]] = {}
    for site in trace.sites:
        path = folder / DECISIONS / f"{site.stored}.parquet"
        if site.stored not in found:
            found[site.stored] = _rows_and_types(path)
        rows, types = found[site.stored]
        expected = rows_at(site, trace.steps)
        if rows != expected:
            raise CondsimError(
                f"{path} has {rows} rows where the steps need {expected}; the trace is damaged, "
                "capture it again"
            )
        stored_columns(site, types, path)


def _rows_and_types(path: Path) -> tuple[int, Mapping[str, str]]:
    """The rows of a Parquet file, and the types of its columns."""
    check_is_file(path)
    with parsing(path):
        metadata = pq.read_metadata(path)
        schema = metadata.schema.to_arrow_schema()
        return metadata.num_rows, {field.name: str(field.type) for field in schema}


def read_header(path: Path) -> Header:
    """Return what a trace says of itself. Raises CondsimError where that is not a header."""
    data = parse_json(read_bytes(path, MOST_OF_HEADER), path)
    version = data.get("schema_version") if isinstance(data, dict) else None
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise CondsimError(
            f"{path}: schema version {version} is newer than this condsim reads "
            f"({SCHEMA_VERSION}); upgrade condsim"
        )
    try:
        return Header.model_validate(data)
    except ValidationError as error:
        raise CondsimError(f"{path}: {broken_rule(error)}") from error


def _programs(path: Path, header: Header) -> dict[str, Program]:
    data = parse_json(read_gzip(path, MOST_OF_PROGRAMS), path)
    guards = {site.name: site.routing.most_guards(site.branches) for site in header.sites}
    with parsing(path):
        return from_json(data, guards)


def read_measurements(path: Path) -> pd.DataFrame:
    """Return a row a timed pair; columns that an older version did not write are empty."""
    table = read_table(path, MEASURED, MOST_MEASURED) if path.exists() else pd.DataFrame()
    return table.reindex(columns=list(MEASUREMENTS))


def read_segments(path: Path) -> pd.DataFrame:
    """Return measured seconds by segment and operator."""
    if path.exists():
        return read_table(path, TIMED_PARTS, MOST_MEASURED)
    return pd.DataFrame(columns=list(SEGMENTS))


def _reader(folder: Path, header: Header, programs: Mapping[str, Program]) -> Reader:
    """Reads decisions late, from the files that are there now and no others."""
    files: dict[str, _DecisionsFile] = {}
    sites_in_file = Counter(site.stored for site in header.sites)
    for site in header.sites:
        files[site.name] = _DecisionsFile(folder, site, sites_in_file[site.stored], programs)

    def read(site: str) -> Iterator[Decisions]:
        yield from files[site].blocks()

    return read


class _DecisionsFile:
    """The file of one site's decisions as it was when the trace was opened.

    exits: sites whose decisions are in it. programs: of the trace.
    """

    def __init__(
        self, folder: Path, site: Site, exits: int, programs: Mapping[str, Program]
    ) -> None:
        self.folder, self.site, self.exits, self.programs = folder, site, exits, programs
        self.path = folder.resolve() / DECISIONS / f"{site.stored}.parquet"
        self.shown = folder / DECISIONS / self.path.name
        self.opened = stamp(self.path)

    def blocks(self) -> Iterator[Decisions]:
        """Yield the decisions a row group at a time, each checked.

        Raises CondsimError where the file is damaged, was replaced, or has a decision that the site
        cannot have.
        """
        self._check_same()
        with self._parsing(), pq.ParquetFile(self.path) as file:
            self._check_same()
            types = {field.name: str(field.type) for field in file.schema_arrow}
            names = stored_columns(self.site, types, self.shown)
            for group in range(file.num_row_groups):
                columns = self._columns(file.read_row_group(group, names, use_threads=False))
                self._check_same()
                block = decode(self.site, columns)
                check_block(self.site, block)
                check_reached(self.site, block.ids, self.programs)
                yield block

    @contextlib.contextmanager
    def _parsing(self) -> Iterator[None]:
        try:
            with parsing(self.shown):
                yield
        except CondsimError:
            self._check_same()
            raise

    def _columns(self, table: Any) -> Columns:
        for name, column in zip(table.column_names, table.columns, strict=True):
            if column.null_count:
                raise ValueError(f"column {name} has empty rows")
        columns = {name: table[name].to_numpy() for name in table.column_names}
        if "depth" in columns:
            check_depth(columns["depth"], self.exits)
        return columns

    def _check_same(self) -> None:
        if stamp(self.path) != self.opened:
            raise CondsimError(f"{self.folder} changed while it was open; load it again")
