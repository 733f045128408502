"""Open a trace: a folder of Parquet and JSON, whose decisions are read when they are asked for."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
from pyarrow.lib import ArrowException
from pydantic import ValidationError

from condsim.errors import CondsimError
from condsim.files import locked, stamp
from condsim.hardware import load_profile
from condsim.program import Program, from_json
from condsim.trace.columns import MEASURED_PAIR, MEASUREMENTS, SEGMENTS, STEPS
from condsim.trace.encoding import Columns, decode
from condsim.trace.header import SCHEMA_VERSION, Header, Site
from condsim.trace.model import Decisions, Reader, Trace
from condsim.trace.swap import DECISIONS, HEADER, pending, settle

PROGRAMS = "programs.json.gz"

DAMAGES = (OSError, EOFError, ValueError, KeyError, IndexError, TypeError)
"""What reading a damaged file raises."""


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
    trace = Trace(
        header,
        _with_columns(folder / "steps.parquet", STEPS),
        _programs(folder / PROGRAMS) if header.has_programs else {},
        _reader(folder, header),
        _table(quality) if quality.exists() else pd.DataFrame(),
        read_measurements(folder / "measurements.parquet"),
        read_segments(folder / "segments.parquet"),
        load_profile(profile) if profile.exists() else None,
    )
    if header.has_decisions:
        for site in header.sites:
            _check_rows(folder, trace, site)
    return trace


def _check_rows(folder: Path, trace: Trace, site: Site) -> None:
    """Raises CondsimError where a site's file has not the rows that the steps need."""
    path = folder / DECISIONS / f"{site.stored}.parquet"
    expected = int(trace.rows_per_unit(site).sum())
    rows = _metadata(path).num_rows
    if rows != expected:
        raise CondsimError(
            f"{path} has {rows} rows where the steps need {expected}; the trace is damaged, "
            "capture it again"
        )


def _damaged(path: Path, error: Exception) -> CondsimError:
    kind = type(error).__name__
    return CondsimError(f"{path} is damaged or truncated ({kind}); capture the trace again")


def read_header(path: Path) -> Header:
    """Return what a trace says of itself. Raises CondsimError where that is not a header."""
    try:
        data = json.loads(path.read_text())
    except ValueError as error:
        raise CondsimError(
            f"{path} is damaged or truncated ({error}); capture the trace again"
        ) from error
    version = data.get("schema_version") if isinstance(data, dict) else None
    if isinstance(version, int) and version > SCHEMA_VERSION:
        raise CondsimError(
            f"{path}: schema version {version} is newer than this condsim reads "
            f"({SCHEMA_VERSION}); upgrade condsim"
        )
    try:
        return Header.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        rule = first["msg"].removeprefix("Value error, ")
        raise CondsimError(f"{path}: {field}: {rule} (got {first['input']!r:.60})") from error


def _programs(path: Path) -> dict[str, Program]:
    try:
        return from_json(json.loads(gzip.decompress(path.read_bytes())))
    except DAMAGES as error:
        raise _damaged(path, error) from error


def read_measurements(path: Path) -> pd.DataFrame:
    """Return a row a timed pair; columns that an older version did not write are empty."""
    table = _with_columns(path, MEASURED_PAIR) if path.exists() else pd.DataFrame()
    return table.reindex(columns=list(MEASUREMENTS))


def read_segments(path: Path) -> pd.DataFrame:
    """Return measured seconds by segment and operator."""
    if path.exists():
        return _with_columns(path, SEGMENTS)
    return pd.DataFrame(columns=list(SEGMENTS))


def _metadata(path: Path) -> Any:
    try:
        return pq.read_metadata(path)
    except FileNotFoundError:
        raise CondsimError(
            f"{path} is missing; the trace is incomplete, capture it again"
        ) from None
    except (ArrowException, OSError) as error:
        raise _damaged(path, error) from error


def _table(path: Path) -> pd.DataFrame:
    _metadata(path)
    try:
        return pd.read_parquet(path)
    except (ArrowException, OSError) as error:
        raise _damaged(path, error) from error


def _with_columns(path: Path, names: Iterable[str]) -> pd.DataFrame:
    table = _table(path)
    missing = [name for name in names if name not in table]
    if missing:
        raise CondsimError(
            f"{path} has no column {', '.join(missing)}; the trace is damaged, capture it again"
        )
    return table


def _reader(folder: Path, header: Header) -> Reader:
    """Reads decisions late, from the files that are there now and no others."""
    files: dict[str, _DecisionsFile] = {}
    for site in header.sites:
        files[site.name] = _DecisionsFile(folder, site)

    def read(site: str) -> Iterator[Decisions]:
        yield from files[site].blocks()

    return read


class _DecisionsFile:
    """The file of one site's decisions as it was when the trace was opened."""

    def __init__(self, folder: Path, site: Site) -> None:
        self.folder, self.site = folder, site
        self.path = folder.resolve() / DECISIONS / f"{site.stored}.parquet"
        self.opened = stamp(self.path)

    def blocks(self) -> Iterator[Decisions]:
        """Yield the decisions a row group at a time.

        Raises CondsimError where the file is damaged or was replaced.
        """
        self._check_same()
        try:
            file = pq.ParquetFile(self.path)
            self._check_same()
            for group in range(file.num_row_groups):
                columns = self._columns(file.read_row_group(group, use_threads=False))
                self._check_same()
                yield decode(self.site, columns)
        except CondsimError:
            raise
        except (ArrowException, OSError, KeyError, ValueError) as error:
            self._check_same()
            shown = self.folder / DECISIONS / self.path.name
            raise _damaged(shown, error) from error

    @staticmethod
    def _columns(table: Any) -> Columns:
        return {name: table[name].to_numpy() for name in table.column_names}

    def _check_same(self) -> None:
        if stamp(self.path) != self.opened:
            raise CondsimError(f"{self.folder} changed while it was open; load it again")
