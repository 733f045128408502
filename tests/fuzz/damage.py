"""Ways to damage bytes, JSON and tables. Each takes a random generator and changes one or few."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from random import Random
from typing import Any

import pandas as pd

NUMBERS: tuple[float, ...] = (
    *(0, 1, 2, -1, -2, 3, 7, 127, 128, 255, 256, 32767, 32768, 65536, 2**31 - 1, 2**31, 2**32),
    *(2**53, 2**63 - 1, 2**63, 2**64, 10**30, -(2**31), -(2**63)),
    *(0.5, -0.5, 1.5, 1e-3, 1e-30, 1e-300, 5e-324, 1e18, 1e30, 1e300, 1.7e308),
    *(math.inf, -math.inf, math.nan, -0.0),
)
TEXTS = (
    *("", " ", "x", "0", "nan", "1e999", "../x", "/etc/passwd", "a/b", ".", "..", "[/x]", "-"),
    *("looped", "prefill", "decode", "moe", "all", "same-params", "float16", "x@y", "$HOME", "NaN"),
    *("\x1b[2Jx", "a\nb", "\x00", "\ud800", "\u202ex", "é漢😀", "<script>x</script>", "=1+1"),
    *("n" * 300, "n" * 5000, "{}", "{" * 50, "true", "null", "2001-99-99"),
)


def deep(levels: int) -> Any:
    """Lists in lists."""
    value: Any = []
    for _ in range(levels):
        value = [value]
    return value


def junk(random: Random) -> Any:
    """Any JSON value."""
    simple = (None, True, False, [], {}, [[]], [0], [None], ["x"], {"x": 1}, {"": None})
    return random.choice(
        [
            random.choice(simple),
            random.choice(TEXTS),
            random.choice(NUMBERS),
            [random.choice(NUMBERS) for _ in range(random.choice([1, 3, 1000]))],
            deep(random.choice([3, 100, 200])),
        ]
    )


# Bytes


def damaged(random: Random, data: bytes) -> bytes:
    """Bytes with bits flipped, cut, doubled, overwritten, or none at all."""
    changed = bytearray(data)
    for _ in range(random.choice([1, 1, 1, 2, 8])):
        start = random.randrange(len(changed)) if changed else 0
        end = min(start + random.choice([1, 2, 16, 300]), len(changed))
        kind = random.randrange(9)
        if kind <= 3 and changed:
            changed[start] ^= 1 << random.randrange(8)
        elif kind == 4:
            del changed[start:end]
        elif kind == 5:
            changed[start:start] = changed[start:end]
        elif kind == 6:
            changed[start:end] = random.randbytes(end - start)
        elif kind == 7:
            del changed[start:]
        else:
            changed[start:end] = bytes(end - start)
    if random.random() < 0.03:
        return random.choice(
            [b"", b"\0" * 100, random.randbytes(500), b"{}", b"PAR1PAR1", b"[" * 100_000]
        )
    return bytes(changed)


# JSON


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """(container, key) of every value inside of another, the outer ones first."""
    waiting = [value]
    for container in waiting:
        if isinstance(container, dict):
            keys: list[Any] = list(container)
        elif isinstance(container, list):
            keys = list(range(len(container)))
        else:
            continue
        for key in keys:
            yield container, key
            waiting.append(container[key])


def restructured(random: Random, value: Any) -> Any:
    """JSON with values replaced, dropped, renamed, doubled or moved."""
    value = copy.deepcopy(value)
    for _ in range(random.choice([1, 1, 1, 2, 5])):
        known = list(places(value))
        if not known:
            return junk(random)
        container, key = random.choice(known)
        kind = random.randrange(7)
        if kind <= 2:
            container[key] = junk(random)
        elif kind == 3:
            del container[key]
        elif kind == 4 and isinstance(container, dict):
            container[random.choice(TEXTS)] = container.pop(key)
        elif kind == 4:
            container.insert(key, copy.deepcopy(container[key]))
        elif kind == 5:
            other, from_key = random.choice(known)
            container[key] = copy.deepcopy(other.get(from_key) if isinstance(other, dict) else 0)
        else:
            container[key] = _wrapped(random, container[key])
    return junk(random) if random.random() < 0.02 else value


def _wrapped(random: Random, value: Any) -> Any:
    """The same in a list, as a mapping, as text, or as often as a list can hold it."""
    return random.choice([[value], {"x": value}, str(value), [value] * 200, [value, value]])


def renumbered(random: Random, value: Any) -> Any:
    """JSON with other numbers where numbers are."""
    value = copy.deepcopy(value)
    known = [(c, k) for c, k in places(value) if type(c[k]) in (int, float)]
    for _ in range(random.choice([1, 1, 2, 6])):
        if known:
            container, key = random.choice(known)
            container[key] = other_number(random, container[key])
    return value


def other_number(random: Random, number: float) -> float:
    """An extreme number, or one near another."""
    near = (number + 1, number - 1, number * 2, number // 2, -number, number * 1000, number / 3)
    if random.random() < 0.4 and math.isfinite(number):
        return random.choice(near)
    return random.choice(NUMBERS)


# Tables


def retabled(random: Random, table: pd.DataFrame) -> pd.DataFrame:
    """A table with other columns, rows, types or values."""
    table = table.copy()
    for _ in range(random.choice([1, 1, 1, 2, 4])):
        if not len(table.columns):
            return table
        column = random.choice(list(table.columns))
        table = random.choice(CHANGES)(random, table, column)
    return table


def _drop_column(_random: Random, table: pd.DataFrame, column: str) -> pd.DataFrame:
    return table.drop(columns=column)


def _rename(random: Random, table: pd.DataFrame, column: str) -> pd.DataFrame:
    names = ("x", "id_1", "depth", "", "step", "seq", "conditional_s", column.upper())
    new = random.choice([name for name in names if name not in table])
    return table.rename(columns={column: new})


def _of_one_value(random: Random, table: pd.DataFrame, column: str) -> pd.DataFrame:
    value = random.choice([random.choice(NUMBERS), random.choice(TEXTS), None, True])
    return table.assign(**{column: pd.Series([value] * len(table), dtype=object)})


def _cell(random: Random, table: pd.DataFrame, column: str) -> pd.DataFrame:
    """A cell of an extreme value; a column of numbers stays one where it can."""
    if not len(table):
        return table
    values = table[column].astype(object).tolist()
    numbers = pd.api.types.is_numeric_dtype(table[column])
    new = random.choice([*NUMBERS, None] if numbers else [*TEXTS, None])
    values[random.randrange(len(values))] = new
    return table.assign(**{column: pd.Series(values, dtype=object)})


def _type(random: Random, table: pd.DataFrame, column: str) -> pd.DataFrame:
    kind = random.choice(["str", "float64", "float32", "int64", "int8", "bool", "list"])
    old = table[column]
    try:
        new = old.map(lambda value: [value]) if kind == "list" else old.astype(kind)
    except UnicodeEncodeError:  # no column of texts holds half of a character
        return table
    except (ValueError, TypeError, OverflowError):
        new = old.astype(str)
    return table.assign(**{column: new})


def _rows(random: Random, table: pd.DataFrame, _column: str) -> pd.DataFrame:
    count = len(table)
    keep = random.choice(["none", "first", "without one", "twice", "shuffled", "one more"])
    if keep == "none" or not count:
        return table.iloc[:0]
    if keep == "first":
        return table.iloc[: random.randrange(1, count + 1)]
    if keep == "without one":
        return table.drop(index=table.index[random.randrange(count)])
    if keep == "twice":
        return pd.concat([table, table], ignore_index=True)
    if keep == "shuffled":
        return table.sample(frac=1, random_state=random.randrange(1000))
    return pd.concat([table, table.iloc[[random.randrange(count)]]], ignore_index=True)


def _swap(random: Random, table: pd.DataFrame, column: str) -> pd.DataFrame:
    other = random.choice(list(table.columns))
    return table.assign(**{column: table[other], other: table[column]})


def _add_column(random: Random, table: pd.DataFrame, _column: str) -> pd.DataFrame:
    name = random.choice(["x", "id_1", "id_7", "weight_0", "score", "score_0", "bits_9", "exit_3"])
    return table.assign(**{name: random.choice(NUMBERS[:20])})


CHANGES = (
    _drop_column,
    _rename,
    _of_one_value,
    _cell,
    _cell,
    _cell,
    _type,
    _rows,
    _swap,
    _add_column,
)
