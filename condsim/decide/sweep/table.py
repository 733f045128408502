"""Rows of a sweep ↔ Parquet: a file that lands whole, and parts beside it while it grows."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import pandas as pd
import pyarrow.lib as pa
import pyarrow.parquet as pq

from condsim.decide.sweep.axes import Axis
from condsim.decide.sweep.grid import MOST_POINTS, Chunk
from condsim.errors import CondsimError
from condsim.files import check_writable, named_errors, write_whole
from condsim.predict.verdict import PAYS
from condsim.trace.columns import Column, check_table
from condsim.trace.tables import checked_names, written_out
from condsim.untrusted import check_name, parsing

MARK = b"condsim sweep"
"""Key in the metadata of a file that a sweep wrote. Its value is the version of the format."""
FORMAT = b"1"
TEXT, WHOLE, NUMBER, FLAG = pa.string(), pa.int64(), pa.float64(), pa.bool_()
COLUMNS = {
    "trace": TEXT,
    "device": TEXT,
    "class": TEXT,
    "strategy": TEXT,
    "runtime": TEXT,
    "dtype": TEXT,
    "weights": TEXT,
    "phase": TEXT,
    "batch": WHOLE,
    "baseline": TEXT,
    "protocol": TEXT,
    "speedup": NUMBER,
    "low": NUMBER,
    "high": NUMBER,
    "verdict": TEXT,
    "latency_s": NUMBER,
    "baseline_s": NUMBER,
    "energy_j": NUMBER,
    "baseline_energy_j": NUMBER,
    "flops_ratio": NUMBER,
    "outputs": TEXT,
    "basis": TEXT,
    "estimated": NUMBER,
}
"""Columns of every sweep → type."""
DETAILS = {"peak_bytes": WHOLE, "baseline_peak_bytes": WHOLE, "fits": FLAG, "main_loss": TEXT}
"""Columns of a sweep with details."""
LAST = {"error": TEXT, "chunk": TEXT}
OF_KIND = {"text": TEXT, "whole": WHOLE, "number": NUMBER}
PART = re.compile(r"[0-9a-f]{24}\.parquet")
"""Names of the files of a sweep that goes on."""
ABOVE_ZERO = Column("number", 1e-300, 1e300, optional=True)
CHECKED = {
    "speedup": ABOVE_ZERO,
    "low": ABOVE_ZERO,
    "high": ABOVE_ZERO,
    "latency_s": ABOVE_ZERO,
    "baseline_s": ABOVE_ZERO,
    "energy_j": ABOVE_ZERO,
    "baseline_energy_j": ABOVE_ZERO,
    "flops_ratio": ABOVE_ZERO,
    "estimated": Column("number", 0, 1 + 1e-6, optional=True),
}
"""What may stand in the columns of numbers of a table that is opened."""
WAY_OUT = "run the sweep again"


def schema_of(axes: Sequence[Axis], details: bool) -> pa.Schema:
    """Return the columns of a sweep: those of its axes that are no others, then the usual ones."""
    usual = {**COLUMNS, **(DETAILS if details else {}), **LAST}
    own = {axis.name: OF_KIND[axis.kind] for axis in axes if axis.name not in usual}
    return pa.schema(list({**own, **usual}.items()), metadata={MARK: FORMAT})


class Parts:
    """The chunks of a table that were priced: those in its file, and those beside it.

    path: of the table; None for one that is not written. schema: of its columns.
    """

    def __init__(self, path: Path | None, schema: pa.Schema) -> None:
        self.path = path
        self.schema = schema
        self._done: dict[str, pa.Table] = {}
        self._beside = False  # whether some of them are not in the file yet

    @property
    def folder(self) -> Path:
        """Where chunks are until the table is written."""
        assert self.path is not None
        return self.path.with_name(f"{self.path.name}.parts")

    @property
    def _files(self) -> list[Path]:
        """Files of chunks. Others in their folder are not the sweep's, and stay."""
        if not self.folder.is_dir():
            return []
        return sorted(file for file in self.folder.iterdir() if PART.fullmatch(file.name))

    def open(self, chunks: Iterable[Chunk]) -> None:
        """Find the chunks that an earlier run priced.

        Raises CondsimError where the path holds something else, or cannot be written.
        """
        if self.path is None:
            return
        check_writable(self.path)
        self._find(chunks)
        self._make_folder()

    def _find(self, chunks: Iterable[Chunk]) -> None:
        """Take what the file and the parts hold of some chunks."""
        sizes = {chunk.digest: len(chunk) for chunk in chunks}
        for table in self._tables():
            for digest, rows in _by_chunk(table):
                if sizes.get(digest) == rows.num_rows:
                    self._done.setdefault(digest, rows)

    def _make_folder(self) -> None:
        with named_errors(self.folder):
            self.folder.mkdir(exist_ok=True)

    def _tables(self) -> Iterator[pa.Table]:
        assert self.path is not None
        if self.path.exists():
            yield from self._of_same_columns(read(self.path))
        for part in self._files:
            self._beside = True
            with contextlib.suppress(CondsimError):  # a damaged part is priced again
                yield from self._of_same_columns(read(part))

    def _of_same_columns(self, table: pa.Table) -> Iterator[pa.Table]:
        if table.schema.equals(self.schema):
            yield table

    def __contains__(self, chunk: Chunk) -> bool:
        return chunk.digest in self._done

    def add(self, chunk: Chunk, rows: list[dict[str, Any]]) -> None:
        """Keep the rows of a chunk, on disk too."""
        table = pa.Table.from_pylist(rows, schema=self.schema)
        self._done[chunk.digest] = table
        if self.path is not None:
            self._make_folder()  # another run of the same sweep may have ended and removed it
            write_whole(self.folder / f"{chunk.digest}.parquet", _written(table))
            self._beside = True

    def table(self, chunks: Iterable[Chunk]) -> pa.Table:
        """Return the rows of the chunks that were priced, in their order."""
        tables = [self._done[chunk.digest] for chunk in chunks if chunk in self]
        return pa.concat_tables([self.schema.empty_table(), *tables])

    def close(self, chunks: Sequence[Chunk]) -> pa.Table:
        """Write the table of what was priced, and remove the parts. Returns the table.

        A run that priced nothing leaves the file as it was. Of one that was stopped, what another
        run has written meanwhile stays.
        """
        if self.path is not None and self._beside and not all(chunk in self for chunk in chunks):
            self._find(chunks)
        table = self.table(chunks)
        if self.path is None:
            return table
        complete = table.num_rows == sum(map(len, chunks))
        if complete or self._beside:
            write_whole(self.path, _written(table))
            self._remove_files()
        with contextlib.suppress(OSError):  # something else is in it
            self.folder.rmdir()
        return table

    def _remove_files(self) -> None:
        for file in self._files:
            with contextlib.suppress(OSError):
                file.unlink()


def _by_chunk(table: pa.Table) -> Iterator[tuple[str, pa.Table]]:
    """The chunks of a table; the rows of each follow each other."""
    names = table.column("chunk").to_pylist()
    start = 0
    for stop in range(1, len(names) + 1):
        if stop == len(names) or names[stop] != names[start]:
            yield names[start], table.slice(start, stop - start)
            start = stop


def _written(table: pa.Table) -> bytes:
    """A table as Parquet. Rows that are equal give equal bytes."""
    buffer = io.BytesIO()
    pq.write_table(table.combine_chunks(), buffer, compression="zstd")
    return buffer.getvalue()


def read_bytes(content: IO[bytes], name: str) -> pd.DataFrame:
    """Return a table that a sweep wrote, for pandas. name: of its file.

    Raises CondsimError as `read` does.
    """
    return frame_of(_read(content, Path(name)))


def read(path: Path) -> pa.Table:
    """Read a table that a sweep wrote.

    Raises CondsimError where it is none, too large, or damaged, or holds what no sweep has said.
    """
    return _read(path, path)


def _read(source: Path | IO[bytes], path: Path) -> pa.Table:
    with parsing(path, WAY_OUT), pq.ParquetFile(source) as file:
        metadata: Mapping[bytes, bytes] = file.schema_arrow.metadata or {}
        if metadata.get(MARK) != FORMAT:
            raise CondsimError(
                f"{path} is no table of a sweep: choose another name for the new one"
            )
        checked_names(file, path, MOST_POINTS)
        schema = file.schema_arrow
    _check_schema(schema, path)
    texts = [field.name for field in schema if field.type == TEXT]
    with parsing(path, WAY_OUT), pq.ParquetFile(source, read_dictionary=texts) as file:
        table = written_out(file.read(use_threads=False), path).cast(schema)
    _check_rows(table, path)
    return table


def _check_schema(schema: pa.Schema, path: Path) -> None:
    """Raises CondsimError unless a table has the columns of a sweep, its axes before them."""
    own = [field for field in schema if field.name not in {**COLUMNS, **DETAILS, **LAST}]
    usual = list(schema)[len(own) :]
    possible = [list({**COLUMNS, **more, **LAST}.items()) for more in ({}, DETAILS)]
    whole = [(field.name, field.type) for field in usual] in possible
    if not whole or any(field.type not in OF_KIND.values() for field in own):
        raise CondsimError(f"{path} has not the columns of a sweep; {WAY_OUT}")
    for field in own:
        try:
            check_name(field.name)
        except ValueError as error:
            raise CondsimError(f"{path}: the name of a column: {error}") from None


def _check_rows(table: pa.Table, path: Path) -> None:
    """Raises CondsimError for a row that no sweep writes."""
    frame: pd.DataFrame = table.to_pandas(ignore_metadata=True)
    check_table(frame, CHECKED, path)
    failed = frame["error"].notna()
    lacking = frame[list(CHECKED)].isna().any(axis=1)
    unknown_verdict = ~frame["verdict"].isin(list(PAYS))
    predicted = frame[list(CHECKED)].notna().any(axis=1)
    wrong = (~failed & (lacking | unknown_verdict)) | (failed & predicted)
    if wrong.any():
        row = int(wrong.argmax())
        has = "numbers and an error" if failed[row] else "neither a prediction nor an error"
        raise CondsimError(f"{path}: row {row} has {has}; {WAY_OUT}")


def frame_of(table: pa.Table) -> pd.DataFrame:
    """Return a table for pandas: whole numbers stay whole where some are missing."""
    nullable = {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}
    frame: pd.DataFrame = table.to_pandas(types_mapper=nullable.get, ignore_metadata=True)
    return frame
