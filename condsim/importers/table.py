"""Tables in CSV and Parquet, a row a token and layer: FLAME-MoE, llama.cpp's logs, one's own."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.lib as pa
import pyarrow.parquet as pq
import pyarrow.types as types

from condsim.errors import CondsimError
from condsim.importers.parts.base import Importer, ModelShape, importer
from condsim.importers.parts.csv import csv_batches
from condsim.importers.parts.keyed import MOST, KeyedFile, key_of, settle
from condsim.importers.parts.peek import PARQUET, Peek
from condsim.importers.parts.spool import BLOCK, Spool
from condsim.importers.parts.texts import IDS, LAYER, SEQUENCE, STEP, TOKEN, WEIGHTS, name_in

WIDE_IDS, WIDE_WEIGHTS = "expert_", "weight_"
"""How columns begin that hold one id, or one weight, each; a number follows."""
SEPARATORS = re.compile(r"[\s;,|]+")
"""What stands between ids that are one text."""
LISTS = (types.is_list, types.is_large_list, types.is_fixed_size_list)
LAYER_IN_NAME = re.compile(r"layer[_-]?(\d+)")
"""The layer of a file that is all of one layer."""


@importer
class Table(Importer):
    """A table with the layer, the ids and, where they are known, the sequence and the token."""

    name = "table"
    title = "CSV or Parquet, a row a token and layer: FLAME-MoE, llama.cpp's logs, one's own"

    def recognises(self, file: Peek) -> bool:
        has_ids = name_in(IDS, file.columns) or f"{WIDE_IDS}0" in file.columns
        has_layer = name_in(LAYER, file.columns) or LAYER_IN_NAME.search(file.path.name)
        return bool(has_ids and has_layer)

    def read(self, files: Sequence[Path], shape: ModelShape, spool: Spool) -> None:
        numbering = _Numbering()
        read = []
        for path in files:
            columns = _Columns.of(Peek(path))
            first = numbering.next_file(columns)
            read.append(KeyedFile(path, first, are_steps=columns.step is not None))
            spool.begin_file(path.name)
            for batch in _batches(path, columns):
                if batch.num_rows:
                    _add(batch, columns, numbering, spool)
        settle(spool, read)

    def read_file(self, path: Path, shape: ModelShape, spool: Spool) -> None:
        self.read([path], shape, spool)


@dataclass(frozen=True)
class _Columns:
    """Which column of a file holds what; None: there is none.

    ids, weights: one column of lists, or one a place. fixed_layer: of all rows, by the file's name.
    """

    file: Path
    ids: tuple[str, ...]
    weights: tuple[str, ...]
    layer: str | None
    fixed_layer: int
    sequence: str | None
    token: str | None
    step: str | None

    @classmethod
    def of(cls, file: Peek) -> _Columns:
        """Raises CondsimError where the ids or the layer are missing."""
        names = file.columns
        ids = _places(names, IDS, WIDE_IDS)
        layer = name_in(LAYER, names)
        in_name = LAYER_IN_NAME.search(file.path.name)
        if not ids or (layer is None and in_name is None):
            raise CondsimError(
                f"{file.path} has the columns {', '.join(names)[:80] or 'of no table'}; a table of "
                f"routing has one of {', '.join(LAYER)} and one of {', '.join(IDS)}, or "
                f"{WIDE_IDS}0, {WIDE_IDS}1, ..."
            )
        fixed_layer = 0
        if layer is None and in_name is not None:
            fixed_layer = int(in_name.group(1))
        return cls(
            file=file.path,
            ids=ids,
            weights=_places(names, WEIGHTS, WIDE_WEIGHTS),
            layer=layer,
            fixed_layer=fixed_layer,
            sequence=name_in(SEQUENCE, names),
            token=name_in(TOKEN, names),
            step=name_in(STEP, names),
        )

    @property
    def used(self) -> list[str]:
        """The columns that are read."""
        others = (self.layer, self.sequence, self.token, self.step)
        named = [name for name in others if name is not None]
        return [*self.ids, *self.weights, *named]


def _places(names: Sequence[str], lists: Sequence[str], wide: str) -> tuple[str, ...]:
    """The columns of ids or of weights."""
    if f"{wide}0" in names:
        places = [name.removeprefix(wide) for name in names if name.startswith(wide)]
        count = sum(place.isdigit() for place in places)
        return tuple(f"{wide}{place}" for place in range(count))
    name = name_in(lists, names)
    return () if name is None else (name,)


def _batches(path: Path, columns: _Columns) -> Iterator[pa.RecordBatch]:
    """Yield the columns that are used, some rows at a time; what was read ahead would be kept."""
    if not Peek(path).head.startswith(PARQUET):
        yield from csv_batches(path, columns.used)
        return
    try:
        with pq.ParquetFile(path, pre_buffer=False) as file:
            yield from file.iter_batches(BLOCK, columns=columns.used)
    except (pa.ArrowException, OSError) as error:
        first_line = str(error).splitlines()[0]
        raise CondsimError(f"{path} is damaged or truncated ({first_line})") from error


@dataclass
class _Numbering:
    """Numbers of sequences and tokens, where the files give them other names or none.

    first: number of the first sequence (or step) of the current file. names: of sequences → their
    numbers. rows: layer → rows so far, which number tokens that have no number.
    """

    first: int = 0
    count: int = 0
    names: dict[Any, int] = field(default_factory=dict)
    rows: dict[int, int] = field(default_factory=dict)

    def next_file(self, columns: _Columns) -> int:
        """Begin a file; return the first number of its sequences.

        Files of one layer each go on with the same sequences.
        """
        self.names.clear()
        if columns.layer is not None:
            self.first = self.count
            self.rows.clear()
        return self.first

    def numbered(self, values: np.ndarray) -> np.ndarray:
        """Numbers of sequences or steps, int64 [rows], from what the file calls them."""
        places, distinct = pd.factorize(values, use_na_sentinel=False)
        numbers = []
        for name in distinct.tolist():
            number = self.names.setdefault(name, len(self.names))
            numbers.append(number)
        found: np.ndarray = np.array(numbers, np.int64)[places]
        return found

    def counted(self, layer: int, rows: int) -> np.ndarray:
        """Numbers of the next rows of a layer."""
        start = self.rows.get(layer, 0)
        self.rows[layer] = start + rows
        return np.arange(start, start + rows)


def _add(batch: pa.RecordBatch, columns: _Columns, numbering: _Numbering, spool: Spool) -> None:
    """Put some rows into the spool, layer by layer."""
    ids = _matrix(batch, columns.ids, columns.file)
    if ids.dtype.kind not in "iu":
        raise CondsimError(f"{columns.file}: expert ids must be integers, got {ids.dtype}")
    weights = None
    if columns.weights:
        weights = _matrix(batch, columns.weights, columns.file).astype(np.float32)
        if weights.shape != ids.shape:
            raise CondsimError(f"{columns.file}: as many weights as ids are needed")
    layers = np.full(batch.num_rows, columns.fixed_layer)
    if columns.layer is not None:
        layers = _numbers(batch, columns.layer, columns.file)
    names = columns.step or columns.sequence
    upper = np.zeros(batch.num_rows, np.int64)
    if names is not None:
        upper = numbering.numbered(_names(batch, names, columns.file))
    upper += numbering.first
    highest = int(upper.max(initial=-1))
    numbering.count = max(numbering.count, highest + 1)
    lower_name = columns.sequence if columns.step is not None else columns.token
    given = None if lower_name is None else _numbers(batch, lower_name, columns.file)
    for layer in np.unique(layers).tolist():
        rows = np.flatnonzero(layers == layer)
        lower = numbering.counted(layer, len(rows)) if given is None else given[rows]
        keys = key_of(upper[rows], lower)
        weights_of_rows = None if weights is None else weights[rows]
        spool.add(layer, ids[rows], weights_of_rows, keys)


def _names(batch: pa.RecordBatch, name: str, file: Path) -> np.ndarray:
    """A column of names or numbers. Raises CondsimError where it holds lists or tables."""
    column = batch.column(name)
    if types.is_nested(column.type):
        raise CondsimError(
            f"{file}: column {name} must hold a name or a number in each row, got {column.type}"
        )
    values: np.ndarray = column.to_numpy(zero_copy_only=False)
    return values


def _numbers(batch: pa.RecordBatch, name: str, file: Path) -> np.ndarray:
    """A column of whole numbers. Raises CondsimError for anything else in it."""
    values: np.ndarray = batch.column(name).to_numpy(zero_copy_only=False)
    whole = values.dtype.kind in "iu"
    if not whole or values.min(initial=0) < 0 or values.max(initial=0) > MOST:
        shown = values[:1].tolist()
        raise CondsimError(
            f"{file}: column {name} must hold whole numbers from 0 to {MOST:,}, got {shown} ..."
        )
    return values.astype(np.int64)


def _matrix(batch: pa.RecordBatch, names: Sequence[str], file: Path) -> np.ndarray:
    """Columns of lists, of text or of numbers, [rows, k]."""
    column = batch.column(names[0])
    if len(names) > 1 or types.is_primitive(column.type):
        columns = [batch.column(name).to_numpy(zero_copy_only=False) for name in names]
        return np.stack(columns, axis=1)
    if types.is_string(column.type):
        lists = [SEPARATORS.split(text.strip()) for text in column.to_pylist()]
    elif any(is_lists(column.type) for is_lists in LISTS):
        return _flattened(column, names[0], file)
    else:
        raise CondsimError(f"{file}: column {names[0]} holds {column.type}, not lists of ids")
    try:
        return np.array(lists, np.int64)
    except ValueError as error:
        raise CondsimError(
            f"{file}: column {names[0]} must hold as many whole numbers in each row, got "
            f"{column[0].as_py()[:30]!r} ..."
        ) from error


def _flattened(column: pa.Array, name: str, file: Path) -> np.ndarray:
    """A column of lists, [rows, k]. Raises CondsimError where they are of unlike length."""
    if column.null_count:
        raise CondsimError(f"{file}: column {name} has {column.null_count} rows without a value")
    values: np.ndarray = column.flatten().to_numpy(zero_copy_only=False)
    if types.is_fixed_size_list(column.type):
        return values.reshape(len(column), -1)
    lengths = np.diff(column.offsets.to_numpy())
    if not (lengths == lengths[0]).all():
        some = " and ".join(str(length) for length in np.unique(lengths)[:3])
        raise CondsimError(
            f"{file}: column {name} must hold as many values in each row, got lists of {some}"
        )
    return values.reshape(len(column), -1)
