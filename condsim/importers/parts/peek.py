"""What kind of file it is: its first bytes, its columns or members, and no more."""

from __future__ import annotations

import json
import zipfile
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from pyarrow.lib import ArrowException

from condsim.errors import CondsimError
from condsim.files import named_errors

HEAD_BYTES = 65536
"""Bytes that are read to recognise a file."""
NPY, ZIP, PARQUET, GZIP = b"\x93NUMPY", b"PK", b"PAR1", b"\x1f\x8b"
PICKLE = tuple(b"\x80" + bytes([protocol]) for protocol in range(2, 6))
WAY_OUT = (
    "in the environment that wrote it, save the arrays with numpy.savez(FILE, routed_experts=ids), "
    "int [tokens, layers, k]"
)


class Peek:
    """A file that was not read yet.

    path: as the user spelled it. head: its first bytes.
    Raises CondsimError where it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if path.is_dir():
            raise CondsimError(f"{path} is a folder; name the files in it ({path}/*)")
        with named_errors(path, "cannot be read"), path.open("rb") as file:
            self.head = file.read(HEAD_BYTES)
        if not self.head:
            raise CondsimError(f"{path} is empty")

    @cached_property
    def refusal(self) -> str | None:
        """Why a file of this kind is never read: a pickle may run any code."""
        if self.head.startswith(PICKLE) or any(m.endswith("data.pkl") for m in self.members):
            return f"{self.path} is a pickle, which could run any code when it is read; {WAY_OUT}"
        if self.head.startswith(GZIP):
            return f"{self.path} is compressed with gzip; unpack it first (gunzip)"
        return None

    @property
    def is_npy(self) -> bool:
        return self.head.startswith(NPY)

    @cached_property
    def members(self) -> tuple[str, ...]:
        """Members of a ZIP file (NPZ), without the ending .npy; none of any other file."""
        if not self.head.startswith(ZIP):
            return ()
        try:
            with zipfile.ZipFile(self.path) as archive:
                return tuple(name.removesuffix(".npy") for name in archive.namelist())
        except zipfile.BadZipFile as error:
            raise CondsimError(
                f"{self.path} is damaged or truncated ({error}); copy it again"
            ) from error

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Columns of a Parquet or CSV file, as they are spelled; none of any other file."""
        if self.head.startswith(PARQUET):
            return self._parquet_columns()
        first = self.lines[0] if self.lines else ""
        if not first or first[0] in "{[":
            return ()
        return tuple(name.strip().strip('"') for name in first.split(","))

    def _parquet_columns(self) -> tuple[str, ...]:
        try:
            return tuple(pq.read_schema(self.path).names)
        except (ArrowException, OSError) as error:
            raise CondsimError(
                f"{self.path} is damaged or truncated ({type(error).__name__}); copy it again"
            ) from error

    @cached_property
    def lines(self) -> tuple[str, ...]:
        """The first lines of a text, whole ones only where there are several; none of others."""
        if b"\0" in self.head:
            return ()
        try:
            lines = self.head.decode(errors="strict").splitlines()
        except UnicodeDecodeError as error:
            if error.start < len(self.head) - 4:
                return ()
            lines = self.head[: error.start].decode().splitlines()
        cut = len(self.head) == HEAD_BYTES
        whole_lines = lines[:-1] if cut and len(lines) > 1 else lines
        return tuple(whole_lines)

    @property
    def starts_with(self) -> str:
        """The first character of a text that is no blank."""
        return next((line.lstrip()[0] for line in self.lines if line.strip()), "")

    @cached_property
    def records(self) -> tuple[dict[str, Any], ...]:
        """The JSON objects of the first two lines, where each line is one."""
        records = []
        for line in self.lines[:2]:
            try:
                record = json.loads(line)
            except (ValueError, RecursionError):
                break
            if not isinstance(record, dict):
                break
            records.append(record)
        return tuple(records)
