"""Read files that anyone may have written: never more than a limit, and whatever a parser raises
becomes one line that names the file."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, ValidationError

from condsim.errors import CondsimError, shown

MOST_CHARACTERS = 200
"""Of a name."""
MOST_OF_TEXT = 4000
"""Characters of a note, a command or a source."""
MEBIBYTE = 1 << 20
UNION_TAGS = ("Grid", "Scatter")
"""What pydantic adds to the path of a field that may be one of several models."""


@contextlib.contextmanager
def parsing(file: str | Path, way_out: str = "capture the trace again") -> Iterator[None]:
    """Turn whatever a parser raises inside into a CondsimError that names the file.

    Parsers of damaged files raise nearly anything, so only calls of parsers belong inside.
    """
    try:
        yield
    except CondsimError:
        raise
    except FileNotFoundError:
        raise CondsimError(f"{file} is missing; {way_out}") from None
    except PermissionError:
        raise CondsimError(f"{file} cannot be read: Permission denied") from None
    except Exception as error:
        said = str(error).split("\n", 1)[0]
        raise CondsimError(
            f"{file} is damaged or truncated ({type(error).__name__}: {said:.100}); {way_out}"
        ) from error


def read_bytes(file: Path, most: int) -> bytes:
    """Return what a file holds. Raises CondsimError where that is more than `most` bytes."""
    check_is_file(file)
    with parsing(file), file.open("rb") as opened:
        content = opened.read(most + 1)
    return _within(content, most, f"{file} is larger than")


def read_gzip(file: Path, most: int) -> bytes:
    """Return what a gzip file of any number of members unpacks to.

    Raises CondsimError where it is damaged, or holds more than `most` bytes; it is unpacked no
    further than that.
    """
    check_is_file(file)
    with parsing(file), gzip.open(file) as opened:
        content = opened.read(most + 1)
    return _within(content, most, f"{file} unpacks to more than")


def _within(content: bytes, most: int, said: str) -> bytes:
    if len(content) > most:
        raise CondsimError(f"{said} {most // MEBIBYTE} MiB, which no such file has")
    return content


def parse_json(content: bytes, file: Path) -> Any:
    """Return the value of a JSON text. file: it is from.

    Raises CondsimError for anything else, for a key that stands twice, and for NaN and infinity.
    """
    with parsing(file):
        return json.loads(content, object_pairs_hook=_once, parse_constant=_no_constant)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {shown(twice)} stands twice")
    return fields


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON")


def check_path(path: object, what: str) -> Path:
    """Return a path. what: it is of, for the error.

    Raises CondsimError for what is neither a text nor a path, or no file system could have.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise CondsimError(f"{what} is named by a text or a path, got {shown(path)}")
    try:
        impossible = b"\0" in os.fsencode(path)
    except UnicodeEncodeError:
        impossible = True
    if impossible:
        raise CondsimError(f"{what} cannot be at {shown(str(path))}")
    return Path(os.fsdecode(path))


def check_is_file(file: Path) -> None:
    """Raises CondsimError for a path that is no regular file: a pipe would be waited for."""
    if not file.exists():
        raise CondsimError(f"{file} is missing; the trace is incomplete, capture it again")
    if not file.is_file():
        raise CondsimError(f"{file} is not a file")


def check_name(name: str) -> str:
    """Return a name. Raises ValueError unless it has 1 to MOST_CHARACTERS printable characters."""
    if not name:
        raise ValueError("a name must not be empty")
    return _printable(name, MOST_CHARACTERS)


def check_text(text: str) -> str:
    """Return a text. Raises ValueError unless it has at most MOST_OF_TEXT printable characters."""
    return _printable(text, MOST_OF_TEXT)


def _printable(text: str, most: int) -> str:
    if len(text) > most:
        raise ValueError(f"it must have at most {most} characters, it has {len(text)}")
    if not text.isprintable():
        raise ValueError(f"it must be printable, it is {shown(text)}")
    return text


def one_line(text: str) -> str:
    """Return what `check_text` takes of any text: one line, of printable characters."""
    line = " ".join(text.split())
    printable = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in line)
    return printable[:MOST_OF_TEXT]


Name = Annotated[str, AfterValidator(check_name)]
Text = Annotated[str, AfterValidator(check_text)]


def broken_rule(error: ValidationError) -> str:
    """The field, the value and the rule of the error that lies deepest, and how many more."""
    errors = error.errors(include_url=False)
    deepest = max(errors, key=lambda each: len(each["loc"]))
    parts = [one_line(str(part)) for part in deepest["loc"] if part not in UNION_TAGS]
    field = ".".join(parts)
    rule = one_line(deepest["msg"].removeprefix("Value error, "))
    value = deepest["input"]
    said = f"{field}: " if field else ""
    if deepest["type"] != "missing" and not isinstance(value, (dict, list)):
        said += f"got {shown(value)}: "
    others = len(errors) - 1
    more = f" (and {others} more)" if others else ""
    return f"{said}{rule}{more}"
