"""Read a table of a trace, its types and sizes checked before its values are read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.lib as pa
import pyarrow.parquet as pq
import pyarrow.types as types

from condsim.errors import CondsimError
from condsim.trace.columns import Column, check_table
from condsim.untrusted import MEBIBYTE, MOST_OF_TEXT, check_is_file, check_name, parsing

MOST_UNPACKED = 1 << 30
"""Bytes of a table of steps, measurements, segments or quality, unpacked."""
NUMBERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "float", "double")
"""Types of columns of numbers, as Arrow calls them."""


def read_table(file: Path, columns: Mapping[str, Column], most_rows: int) -> pd.DataFrame:
    """Return the columns that a table must have, and those that it may have where it has them.

    Raises CondsimError where the file is damaged, has too many rows, or breaks a rule of a column.
    """
    check_is_file(file)
    texts = [name for name, column in columns.items() if column.kind == "text"]
    with parsing(file), pq.ParquetFile(file, read_dictionary=texts) as parquet:
        present = checked_names(parquet, file, most_rows)
        table = parquet.read([name for name in columns if name in present], use_threads=False)
        frame: pd.DataFrame = written_out(table, file).to_pandas(ignore_metadata=True)
    check_table(frame, columns, file)
    return frame


def read_numbers(file: Path, most_rows: int) -> pd.DataFrame:
    """Return a table of finite numbers, whatever its columns are called.

    Raises CondsimError for any other, and as `read_table` does.
    """
    check_is_file(file)
    with parsing(file), pq.ParquetFile(file) as parquet:
        checked_names(parquet, file, most_rows)
        for field in parquet.schema_arrow:
            if str(field.type) not in NUMBERS:
                raise CondsimError(f"{file}: column {field.name} must be numbers, is {field.type}")
        frame: pd.DataFrame = parquet.read(use_threads=False).to_pandas(ignore_metadata=True)
    check_numbers(frame, file)
    return frame


def check_numbers(table: pd.DataFrame, where: object) -> None:
    """Raises CondsimError unless all of a table is finite numbers under printable names."""
    try:
        for name in table.columns:
            check_name(str(name))
    except ValueError as error:
        raise CondsimError(f"{where}: the name of a column: {error}") from None
    check_table(table, dict.fromkeys(table.columns, Column("number")), where)


def checked_names(parquet: Any, file: Path, most_rows: int) -> list[str]:
    """Return the names of a file's columns.

    Raises CondsimError where two are the same, or it is too large to be read.
    """
    metadata = parquet.metadata
    names: list[str] = parquet.schema_arrow.names
    if metadata.num_rows > most_rows:
        raise CondsimError(
            f"{file} claims {metadata.num_rows:,} rows; at most {most_rows:,} are read"
        )
    if len(set(names)) < len(names):
        raise CondsimError(f"{file} has two columns of one name")
    groups = range(metadata.num_row_groups)
    if sum(metadata.row_group(group).total_byte_size for group in groups) > MOST_UNPACKED:
        raise CondsimError(f"{file} unpacks to more than {MOST_UNPACKED // MEBIBYTE} MiB")
    return names


def written_out(table: Any, file: Path) -> Any:
    """Return the same table with its texts written out, in columns that were read as dictionaries.

    Raises CondsimError where a text is too long, or all of them are, written out: a few bytes of a
    dictionary can stand for any number of rows.
    """
    for number, name in enumerate(table.column_names):
        column = table.column(number)
        if not types.is_dictionary(column.type):
            continue
        if sum(_written_bytes(chunk, name, file) for chunk in column.chunks) > MOST_UNPACKED:
            raise CondsimError(
                f"{file}: column {name} unpacks to more than {MOST_UNPACKED // MEBIBYTE} MiB"
            )
        table = table.set_column(number, name, column.cast(pa.large_string()))
    return table


def _written_bytes(chunk: Any, name: str, file: Path) -> int:
    """Bytes that a part of a column takes, written out. Raises CondsimError for too long a text."""
    texts = chunk.dictionary.to_pylist()
    lengths = [len(text) for text in texts if text is not None]
    longest = max(lengths, default=0)
    if longest > MOST_OF_TEXT:
        raise CondsimError(
            f"{file}: column {name} must have at most {MOST_OF_TEXT} characters, got {longest}"
        )
    sizes = np.array([len((text or "").encode()) for text in texts], np.int64)
    return int(sizes[chunk.indices.drop_null().to_numpy()].sum()) if len(sizes) else 0
