"""Requests: when each arrives, and how long its prompt and its answer are."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from condsim import checks
from condsim.checks import MOST_SECONDS
from condsim.errors import CondsimError, shown
from condsim.untrusted import check_is_file, check_path, parsing

MOST_REQUESTS = 10_000_000
MOST_TOKENS = 1 << 24
"""Of one prompt or one answer."""
COLUMNS = ("arrival_s", "prompt_tokens", "output_tokens", "cached_tokens")
LENGTHS = ("prompt_tokens", "output_tokens")
SUFFIXES = (".csv", ".parquet")


@dataclass(frozen=True)
class Lengths:
    """Tokens of a prompt or an answer: whole numbers from `least` to `most`, all alike likely."""

    least: int
    most: int

    def __post_init__(self) -> None:
        """Raises CondsimError unless 1 <= least <= most."""
        for length in (self.least, self.most):
            checks.whole("lengths", length, most=MOST_TOKENS)
        if self.most < self.least:
            raise CondsimError(f"lengths: the least stands first, got {self.least}-{self.most}")

    def draw(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Return so many lengths, int [count]."""
        return rng.integers(self.least, self.most + 1, count)


ONE_TOKEN = Lengths(1, 1)


@dataclass(frozen=True)
class Requests:
    """n requests in order of arrival.

    arrival_s: float [n]. prompt_tokens, output_tokens: int [n].
    cached_tokens: of the prompt, from its beginning, whose keys and values are kept from an earlier
        request; int [n].
    have_lengths: whether prompts and answers were given; a model that answers in one forward needs
        none.
    """

    arrival_s: np.ndarray
    prompt_tokens: np.ndarray
    output_tokens: np.ndarray
    cached_tokens: np.ndarray
    have_lengths: bool = True

    def __len__(self) -> int:
        return len(self.arrival_s)

    @property
    def rate(self) -> float:
        """Requests a second, from the first arrival to the last; infinite if all come at once."""
        span_s = float(self.arrival_s[-1] - self.arrival_s[0])
        return (len(self) - 1) / span_s if span_s > 0 else math.inf

    def first(self, count: int) -> Requests:
        """Return the first requests."""
        return Requests(
            self.arrival_s[:count],
            self.prompt_tokens[:count],
            self.output_tokens[:count],
            self.cached_tokens[:count],
            self.have_lengths,
        )

    def all_at_once(self) -> Requests:
        """Return the same requests, all of which are there from the beginning."""
        return replace(self, arrival_s=np.zeros(len(self)))


def poisson(
    rate: float,
    count: int,
    prompt_tokens: Lengths | None = None,
    output_tokens: Lengths | None = None,
    seed: int = 0,
) -> Requests:
    """Draw requests that arrive independently of each other.

    rate: a second. count: of requests. prompt_tokens, output_tokens: None for a model that answers
    in one forward.
    Raises CondsimError for a rate that is not above 0 and a count below 1.
    """
    checks.above_zero("rate", rate)
    checks.whole("count", count, most=MOST_REQUESTS)
    checks.whole("seed", seed, least=0)
    rng = np.random.default_rng(seed)
    arrival_s = np.cumsum(rng.exponential(1 / rate, count))
    return _drawn(arrival_s, prompt_tokens, output_tokens, rng)


def bursts(
    size: int,
    every_s: float,
    count: int,
    prompt_tokens: Lengths | None = None,
    output_tokens: Lengths | None = None,
    seed: int = 0,
) -> Requests:
    """Draw requests that arrive `size` at a time, every `every_s` seconds.

    The others as in `poisson`. Raises CondsimError for a size or count below 1, and for seconds
    that are not above 0.
    """
    checks.whole("size", size)
    checks.above_zero("seconds between bursts", every_s)
    checks.whole("count", count, most=MOST_REQUESTS)
    checks.whole("seed", seed, least=0)
    arrival_s = np.arange(count) // size * every_s
    return _drawn(arrival_s, prompt_tokens, output_tokens, np.random.default_rng(seed))


def _drawn(
    arrival_s: np.ndarray,
    prompt_tokens: Lengths | None,
    output_tokens: Lengths | None,
    rng: np.random.Generator,
) -> Requests:
    if (prompt_tokens is None) != (output_tokens is None):
        raise CondsimError("give the lengths of both prompts and answers, or of neither")
    count, last_s = len(arrival_s), float(arrival_s[-1])
    if last_s > MOST_SECONDS:
        raise CondsimError(
            f"the last of {count} requests would arrive after {last_s:.3g} s; the most is "
            f"{MOST_SECONDS:g} s: draw fewer, or more of them a second"
        )
    prompts = (prompt_tokens or ONE_TOKEN).draw(count, rng)
    answers = (output_tokens or ONE_TOKEN).draw(count, rng)
    none_cached = np.zeros(count, np.int64)
    return Requests(arrival_s, prompts, answers, none_cached, prompt_tokens is not None)


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
    with parsing(file, way_out):
        table = _read(file)
    return checked_requests(table, str(file))


def _read(file: Path) -> pd.DataFrame:
    if file.suffix.lower() == ".csv":
        return pd.read_csv(file, nrows=MOST_REQUESTS + 1)
    import pyarrow.parquet as parquet

    opened = parquet.ParquetFile(file)
    if opened.metadata.num_rows > MOST_REQUESTS:
        raise CondsimError(f"{file} has more than {MOST_REQUESTS} requests")
    names = [name for name in COLUMNS if name in opened.schema_arrow.names]
    table: pd.DataFrame = opened.read(columns=names).to_pandas()
    return table


def checked_requests(table: pd.DataFrame, where: str = "requests") -> Requests:
    """Return the requests of a table, its columns as in `read_requests`.

    where: what an error calls the table. Raises CondsimError for the first value that no request
    has.
    """
    present = [name for name in COLUMNS if name in table.columns]
    if "arrival_s" not in present:
        named = ", ".join(map(str, table.columns))[:80] or "none"
        raise CondsimError(f"{where} has no column arrival_s; it has: {named}")
    with_lengths = [name for name in LENGTHS if name in present]
    if len(with_lengths) == 1:
        raise CondsimError(f"{where} has {with_lengths[0]} but not the other of {LENGTHS}")
    if not 1 <= len(table) <= MOST_REQUESTS:
        raise CondsimError(f"{where} must have 1 to {MOST_REQUESTS} requests, it has {len(table)}")
    columns = {name: _numbers(table[name], name, where) for name in present}
    _check_arrivals(columns["arrival_s"], where)
    for name in LENGTHS:
        columns.setdefault(name, np.ones(len(table)))
        _check_tokens(columns[name], name, 1, where)
    columns.setdefault("cached_tokens", np.zeros(len(table)))
    _check_tokens(columns["cached_tokens"], "cached_tokens", 0, where)
    _check_cached(columns, where)
    return Requests(
        columns["arrival_s"],
        columns["prompt_tokens"].astype(np.int64),
        columns["output_tokens"].astype(np.int64),
        columns["cached_tokens"].astype(np.int64),
        have_lengths=bool(with_lengths),
    )


def _numbers(column: pd.Series[Any], name: str, where: str) -> np.ndarray:
    numbers = pd.to_numeric(column, errors="coerce").to_numpy(np.float64)
    wrong = ~np.isfinite(numbers)
    if wrong.any():
        _refuse(where, name, int(wrong.argmax()), column.iloc[int(wrong.argmax())], "a number")
    return numbers


def _check_arrivals(arrival_s: np.ndarray, where: str) -> None:
    outside = (arrival_s < 0) | (arrival_s > MOST_SECONDS)
    if outside.any():
        row = int(outside.argmax())
        rule = f"from 0 to {MOST_SECONDS:g} seconds"
        _refuse(where, "arrival_s", row, arrival_s[row], rule)
    earlier = np.diff(arrival_s) < 0
    if earlier.any():
        row = int(earlier.argmax()) + 1
        rule = f"at least that of the row before, {arrival_s[row - 1]:g}: sort the file by arrival"
        _refuse(where, "arrival_s", row, arrival_s[row], rule)


def _check_tokens(tokens: np.ndarray, name: str, least: int, where: str) -> None:
    wrong = (tokens < least) | (tokens > MOST_TOKENS) | (tokens != np.floor(tokens))
    if wrong.any():
        row = int(wrong.argmax())
        _refuse(where, name, row, tokens[row], f"a whole number of at least {least}")


def _check_cached(columns: Mapping[str, np.ndarray], where: str) -> None:
    """At least the last token of a prompt runs: the first of the answer comes out of it."""
    wrong = columns["cached_tokens"] >= columns["prompt_tokens"]
    if wrong.any():
        row = int(wrong.argmax())
        prompt = int(columns["prompt_tokens"][row])
        rule = f"less than the {prompt} tokens of the prompt"
        _refuse(where, "cached_tokens", row, columns["cached_tokens"][row], rule)


def _refuse(where: str, name: str, row: int, value: Any, rule: str) -> None:
    said = f"{value:g}" if isinstance(value, float) else shown(value)
    raise CondsimError(f"{where}: {name} of request {row} is {said}; it must be {rule}")


def packed(values: np.ndarray) -> memoryview:
    """Return numbers of all requests for loops that take one at a time, without a copy.

    values: int or float [n]; in a list each would take 32 bytes.
    """
    in_order: memoryview = np.ascontiguousarray(values).data
    return in_order
