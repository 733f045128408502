"""Requests out of files and tables; a file of many is read and checked a part at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from condsim.checks import MOST_SECONDS
from condsim.errors import CondsimError, shown
from condsim.serve.columns import BLOCK, GrowingColumn, same_for_all
from condsim.serve.requests import MOST_REQUESTS, MOST_TOKENS, Requests
from condsim.untrusted import check_is_file, check_path, parsing

COLUMNS = ("arrival_s", "prompt_tokens", "output_tokens", "cached_tokens")
LENGTHS = ("prompt_tokens", "output_tokens")
SUFFIXES = (".csv", ".parquet")
DTYPES = {"arrival_s": np.float64}
"""Of what is kept; of others int64."""


def read_requests(path: str | Path) -> Requests:
    """Read requests from a CSV or Parquet file.

    Columns: arrival_s, in order; prompt_tokens and output_tokens, which a model that answers in
    one forward does not need; cached_tokens if a cache of prefixes holds some of the prompts.
    Raises CondsimError for a file that is none, and for the first value that no request has.
    """
    file = check_path(path, "a file of requests")
    if file.suffix.lower() not in SUFFIXES:
        raise CondsimError(f"{file}: a file of requests ends in {' or '.join(SUFFIXES)}")
    if not file.exists():
        raise CondsimError(f"there is no file {file}")
    check_is_file(file)
    way_out = "write it again, with a column arrival_s"
    read = _csv if file.suffix.lower() == ".csv" else _parquet
    with parsing(file, way_out):
        return _checked(read(file), str(file))


def _csv(file: Path) -> Iterator[pd.DataFrame]:
    with pd.read_csv(file, chunksize=BLOCK, nrows=MOST_REQUESTS + 1) as parts:
        yield from parts


def _parquet(file: Path) -> Iterator[pd.DataFrame]:
    import pyarrow.parquet as parquet

    with parquet.ParquetFile(file) as opened:
        _check_count(opened.metadata.num_rows, str(file))
        names = [name for name in COLUMNS if name in opened.schema_arrow.names]
        _check_names(opened.schema_arrow.names, str(file))
        for part in opened.iter_batches(BLOCK, columns=names):
            yield part.to_pandas()


def checked_requests(table: pd.DataFrame, where: str = "requests") -> Requests:
    """Return the requests of a table, its columns as in `read_requests`.

    where: what an error calls the table. Raises CondsimError for the first value that no request
    has.
    """
    _check_names(table.columns, where)
    _check_count(len(table), where)
    return _checked([table], where)


def _checked(parts: Iterable[pd.DataFrame], where: str) -> Requests:
    """Return the requests of a table that comes in parts."""
    kept: dict[str, GrowingColumn] = {}
    count, last_s = 0, 0.0
    for part in parts:
        _check_names(part.columns, where)
        checked = _Part(where, count, last_s).checked(part)
        for name, numbers in checked.items():
            column = kept.setdefault(name, GrowingColumn(DTYPES.get(name, np.int64)))
            column.add(numbers)
        if len(part):
            last_s = float(checked["arrival_s"][-1])
        count += len(part)
        _check_count(count, where, least=0)
    _check_count(count, where)
    columns = {name: column.column() for name, column in kept.items()}
    one_token, none_cached = same_for_all(1, count), same_for_all(0, count)
    return Requests(
        columns["arrival_s"],
        columns.get("prompt_tokens", one_token),
        columns.get("output_tokens", one_token),
        columns.get("cached_tokens", none_cached),
        have_lengths="prompt_tokens" in columns,
    )


def _check_names(names: Iterable[Any], where: str) -> None:
    """Raises CondsimError where columns are missing."""
    present = list(map(str, names))
    if "arrival_s" not in present:
        named = ", ".join(present)[:80] or "none"
        raise CondsimError(f"{where} has no column arrival_s; it has: {named}")
    with_lengths = [name for name in LENGTHS if name in present]
    if len(with_lengths) == 1:
        raise CondsimError(f"{where} has {with_lengths[0]} but not the other of {LENGTHS}")


def _check_count(count: int, where: str, least: int = 1) -> None:
    if least <= count <= MOST_REQUESTS:
        return
    has = count if count <= MOST_REQUESTS else f"more than {MOST_REQUESTS}"
    raise CondsimError(f"{where} must have 1 to {MOST_REQUESTS} requests, it has {has}")


class _Part:
    """Some requests of a table. first: the number of the first of them. last_s: when the one before
    arrived."""

    def __init__(self, where: str, first: int, last_s: float) -> None:
        self.where, self.first, self.last_s = where, first, last_s

    def checked(self, table: pd.DataFrame) -> dict[str, np.ndarray]:
        """Return the numbers of each column, float [n]."""
        present = [name for name in COLUMNS if name in table.columns]
        columns = {name: self._numbers(table[name], name) for name in present}
        self._check_arrivals(columns["arrival_s"])
        for name in LENGTHS:
            if name in columns:
                self._check_tokens(columns[name], name, 1)
        if "cached_tokens" in columns:
            prompts = columns.get("prompt_tokens", np.ones(len(table)))
            self._check_cached(columns["cached_tokens"], prompts)
        return columns

    def _numbers(self, column: pd.Series[Any], name: str) -> np.ndarray:
        numbers = pd.to_numeric(column, errors="coerce").to_numpy(np.float64)
        wrong = ~np.isfinite(numbers)
        if wrong.any():
            row = int(wrong.argmax())
            self._refuse(name, row, column.iloc[row], "a number")
        return numbers

    def _check_arrivals(self, arrival_s: np.ndarray) -> None:
        outside = (arrival_s < 0) | (arrival_s > MOST_SECONDS)
        if outside.any():
            row = int(outside.argmax())
            rule = f"from 0 to {MOST_SECONDS:g} seconds"
            self._refuse("arrival_s", row, arrival_s[row], rule)
        before_s = np.concatenate([[self.last_s], arrival_s[:-1]])
        earlier = arrival_s < before_s
        if earlier.any():
            row = int(earlier.argmax())
            rule = f"at least that of the row before, {before_s[row]:g}: sort the file by arrival"
            self._refuse("arrival_s", row, arrival_s[row], rule)

    def _check_tokens(self, tokens: np.ndarray, name: str, least: int) -> None:
        wrong = (tokens < least) | (tokens > MOST_TOKENS) | (tokens != np.floor(tokens))
        if wrong.any():
            row = int(wrong.argmax())
            self._refuse(name, row, tokens[row], f"a whole number of at least {least}")

    def _check_cached(self, cached: np.ndarray, prompts: np.ndarray) -> None:
        """At least the last token of a prompt runs: the first of the answer comes out of it."""
        self._check_tokens(cached, "cached_tokens", 0)
        wrong = cached >= prompts
        if wrong.any():
            row = int(wrong.argmax())
            rule = f"less than the {int(prompts[row])} tokens of the prompt"
            self._refuse("cached_tokens", row, cached[row], rule)

    def _refuse(self, name: str, row: int, value: Any, rule: str) -> None:
        said = f"{value:g}" if isinstance(value, float) else shown(value)
        raise CondsimError(
            f"{self.where}: {name} of request {self.first + row} is {said}; it must be {rule}"
        )
