"""Arrays in NPY and NPZ files, a block at a time. Arrays of objects are pickles and are refused."""

from __future__ import annotations

import contextlib
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.lib import format as npy_format

from condsim.errors import CondsimError

NPY_MAGIC, ZIP_MAGIC = b"\x93NUMPY", b"PK"
BLOCK_BYTES = 1 << 20
"""Bytes that are read at a time."""
DAMAGES = (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error, KeyError)
ONLY = ""
"""The name of the array of an NPY."""


class ArrayFile:
    """An NPY or NPZ file that is open: `with ArrayFile(path) as file`.

    names: of its arrays.
    Raises CondsimError for a damaged file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._archive: zipfile.ZipFile | None = None
        with named(path):
            with path.open("rb") as file:
                is_archive = file.read(len(ZIP_MAGIC)) == ZIP_MAGIC
            if is_archive:
                self._archive = zipfile.ZipFile(path)

    def __enter__(self) -> ArrayFile:
        return self

    def __exit__(self, *error: object) -> None:
        if self._archive is not None:
            self._archive.close()

    @property
    def names(self) -> tuple[str, ...]:
        if self._archive is None:
            return (ONLY,)
        return tuple(name.removesuffix(".npy") for name in self._archive.namelist())

    def array(self, name: str = ONLY) -> StoredArray:
        """Find out what an array is, reading its header only.

        Raises CondsimError for one that is damaged, missing, or of objects.
        """
        with named(self.path), self.opened(name) as file:
            shape, _, dtype = _header(file)
        array = StoredArray(self, name, shape, dtype)
        if dtype.hasobject:
            raise CondsimError(
                f"{array.label} holds Python objects, a pickle, which could run any code when it "
                "is read; save arrays of integers"
            )
        return array

    @contextlib.contextmanager
    def opened(self, name: str) -> Iterator[IO[bytes]]:
        """The bytes of an array, its header first."""
        if self._archive is None:
            with self.path.open("rb") as file:
                yield file
        else:
            with self._archive.open(f"{name}.npy") as member:
                yield member


@dataclass(frozen=True)
class StoredArray:
    """An array in a file that is open."""

    file: ArrayFile
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype

    @property
    def label(self) -> str:
        """What a person calls it."""
        return f"{self.file.path}: {self.name}" if self.name else str(self.file.path)

    def check_integers(self) -> StoredArray:
        """The array itself. Raises CondsimError where it does not hold integers."""
        if self.dtype.kind not in "iu":
            raise CondsimError(f"{self.label} holds {self.dtype}, expert ids are integers")
        return self

    def blocks(self, rows: int | None = None) -> Iterator[np.ndarray]:
        """Yield the array in blocks along its first axis.

        rows: of a block; None: as many as fit in `BLOCK_BYTES`.
        Raises CondsimError where the file is truncated.
        """
        with named(self.file.path), self.file.opened(self.name) as file:
            shape, by_columns, dtype = _header(file)
            if by_columns:
                yield self.whole()
                return
            row_bytes = int(np.prod(shape[1:], dtype=np.int64)) * dtype.itemsize
            if rows is None:
                rows = max(1, BLOCK_BYTES // max(row_bytes, 1))
            for start in range(0, shape[0], rows):
                count = min(rows, shape[0] - start)
                data = _read_exactly(file, count * row_bytes)
                yield np.frombuffer(data, dtype).reshape(count, *shape[1:])

    def whole(self) -> np.ndarray:
        """The array, in memory."""
        with named(self.file.path), self.file.opened(self.name) as file:
            values: np.ndarray = npy_format.read_array(file, allow_pickle=False)
            return values


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    version = npy_format.read_magic(file)
    if version == (1, 0):
        return npy_format.read_array_header_1_0(file)
    return npy_format.read_array_header_2_0(file)


def _read_exactly(file: IO[bytes], size: int) -> bytes:
    data = file.read(size)
    if len(data) != size:
        raise EOFError("it ends too soon")
    return data


@contextlib.contextmanager
def named(path: Path) -> Iterator[None]:
    """Turn what reading a damaged file raises into a CondsimError that names the file."""
    try:
        yield
    except CondsimError:
        raise
    except DAMAGES as error:
        first_line = (str(error).splitlines() or [type(error).__name__])[0]
        raise CondsimError(f"{path} is damaged or truncated ({first_line})") from error
