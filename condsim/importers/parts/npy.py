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

NPY_MAGIC = b"\x93NUMPY"
BLOCK_BYTES = 1 << 20
"""Bytes that are read at a time."""
DAMAGES = (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error, KeyError)


@dataclass(frozen=True)
class StoredArray:
    """An array in a file.

    path: of the file. member: of an NPZ; empty for an NPY.
    """

    path: Path
    member: str
    shape: tuple[int, ...]
    dtype: np.dtype

    @property
    def label(self) -> str:
        """What a person calls it."""
        return f"{self.path}: {self.member}" if self.member else str(self.path)

    def blocks(self, rows: int | None = None) -> Iterator[np.ndarray]:
        """Yield the array in blocks along its first axis.

        rows: of a block; None: as many as fit in `BLOCK_BYTES`.
        Raises CondsimError where the file is truncated.
        """
        with _named(self.path), _opened(self.path, self.member) as file:
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
        with _named(self.path), _opened(self.path, self.member) as file:
            values: np.ndarray = npy_format.read_array(file, allow_pickle=False)
            return values


def stored_array(path: Path, member: str = "") -> StoredArray:
    """Find out what an array is, reading its header only.

    Raises CondsimError for a damaged file, and for an array of objects.
    """
    with _named(path), _opened(path, member) as file:
        shape, _, dtype = _header(file)
    array = StoredArray(path, member, shape, dtype)
    if dtype.hasobject:
        raise CondsimError(
            f"{array.label} holds Python objects, a pickle, which could run any code when it is "
            "read; save arrays of integers"
        )
    return array


def integers(array: StoredArray) -> StoredArray:
    """The array itself. Raises CondsimError where it does not hold integers."""
    if array.dtype.kind not in "iu":
        raise CondsimError(f"{array.label} holds {array.dtype}, expert ids are integers")
    return array


@contextlib.contextmanager
def _opened(path: Path, member: str) -> Iterator[IO[bytes]]:
    if not member:
        with path.open("rb") as file:
            yield file
        return
    with zipfile.ZipFile(path) as archive, archive.open(f"{member}.npy") as file:
        yield file


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
def _named(path: Path) -> Iterator[None]:
    try:
        yield
    except CondsimError:
        raise
    except DAMAGES as error:
        first_line = (str(error).splitlines() or [type(error).__name__])[0]
        raise CondsimError(f"{path} is damaged or truncated ({first_line})") from error
