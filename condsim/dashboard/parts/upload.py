"""An uploaded trace: a zip or the files of a folder, from anyone. What is taken from it, and what is refused.

Nothing is written outside of one new folder, nothing is unpacked beyond LIMIT_BYTES, and the trace is read whole before it is kept.
"""

from __future__ import annotations

import hashlib
import io
import shutil
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO

import pyarrow.parquet as pq

from condsim.errors import CondsimError
from condsim.show.text import si
from condsim.trace import Trace
from condsim.trace.store import file_name, load

LIMIT_BYTES = 2 << 30
"""Of everything in a trace, unpacked."""
LIMIT_PROGRAMS_BYTES = 256 << 20
"""Of the programs, unpacked: they are read into memory at once."""
LIMIT_FILES = 2000
LIMIT_ROWS = 200_000_000
"""Of one table: a few bytes of Parquet can claim any number."""
CHUNK = 1 << 20
KINDS = (".json", ".parquet", ".json.gz", ".yaml")
WAY_OUT = "upload the folder that `condsim capture SPEC -o FOLDER` writes, or a zip of it"


def keep_zip(data: bytes | IO[bytes], called: str, into: Path) -> str:
    """Unpack a zip, check the trace in it and keep it in `into`. Returns the name of its folder there.

    called: what the user knows it as. Raises CondsimError for anything that is not exactly one trace; nothing is kept then.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data) if isinstance(data, bytes) else data) as archive:
            return _keep(_members(archive, called), called, into)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as e:
        raise CondsimError(f"{called} is not a zip that can be read ({e}); {WAY_OUT}") from None


def keep_files(files: Iterable[tuple[str, IO[bytes]]], called: str, into: Path) -> str:
    """The same for the files of a folder: (path in the folder, content)."""
    return _keep(((name, content) for name, content in files if not _ignored(name)), called, into)


def _members(archive: zipfile.ZipFile, called: str) -> Iterator[tuple[str, IO[bytes]]]:
    for info in archive.infolist():
        if info.is_dir() or _ignored(info.filename):
            continue
        if stat.S_ISLNK(info.external_attr >> 16):
            raise CondsimError(f"{called}: {info.filename!r} is a link; {WAY_OUT}")
        if info.flag_bits & 1:
            raise CondsimError(
                f"{called}: {info.filename!r} is encrypted; pack it without a password"
            )
        with archive.open(info) as content:
            yield info.filename, content


def _ignored(name: str) -> bool:
    """What file managers add."""
    parts = PurePosixPath(name).parts
    return "__MACOSX" in parts or (
        bool(parts) and parts[-1] in (".DS_Store", "Thumbs.db", "desktop.ini")
    )


def _keep(files: Iterable[tuple[str, IO[bytes]]], called: str, into: Path) -> str:
    work = Path(tempfile.mkdtemp(prefix=".upload-", dir=into))
    try:
        _write(files, called, work)
        folder = _the_trace(work, called)
        name = f"{file_name(_check(folder, called).name)}-{_digest(folder)[:6]}"
        target = into / name
        if not target.exists():
            folder.rename(target)
        return name
    except CondsimError as e:
        raise CondsimError(str(e).replace(f"{work}/", "").replace(str(work), called)) from None
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _write(files: Iterable[tuple[str, IO[bytes]]], called: str, work: Path) -> None:
    """Write the files below `work`."""
    left = LIMIT_BYTES
    for count, (name, content) in enumerate(files):
        if count >= LIMIT_FILES:
            raise CondsimError(
                f"{called} has more than {LIMIT_FILES} files: that is not a trace; {WAY_OUT}"
            )
        path = PurePosixPath(name)
        if (
            path.is_absolute()
            or ".." in path.parts
            or "\\" in name
            or ":" in name
            or "\0" in name
            or not path.parts
        ):
            raise CondsimError(f"{called}: the path {name!r} leads out of the folder; {WAY_OUT}")
        if not name.endswith(KINDS):
            raise CondsimError(
                f"{called}: {name!r} does not belong to a trace, which has only {', '.join(KINDS)} files; {WAY_OUT}"
            )
        target = work.joinpath(*path.parts)
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists():
            raise CondsimError(f"{called}: {name!r} is in it twice; {WAY_OUT}")
        with target.open("wb") as out:
            while chunk := content.read(min(CHUNK, left + 1)):
                left -= len(chunk)
                if left < 0:
                    raise CondsimError(
                        f"{called} is larger than {si(LIMIT_BYTES, 'B')} unpacked; run `condsim app FOLDER` on the trace instead"
                    )
                out.write(chunk)


def _digest(folder: Path) -> str:
    """A hash of the names and contents of a folder's files."""
    found = sorted(p for p in folder.rglob("*") if p.is_file())
    return hashlib.sha256(
        repr(
            [
                (str(p.relative_to(folder)), hashlib.sha256(p.read_bytes()).hexdigest())
                for p in found
            ]
        ).encode()
    ).hexdigest()


def _the_trace(work: Path, called: str) -> Path:
    found = sorted(p.parent for p in work.rglob("trace.json"))
    if not found:
        raise CondsimError(f"{called} holds no trace.json; {WAY_OUT}")
    if len(found) > 1:
        names = ", ".join(str(p.relative_to(work)) for p in found[:3])
        raise CondsimError(f"{called} holds {len(found)} traces ({names}); upload one at a time")
    return found[0]


def _check(folder: Path, called: str) -> Trace:
    """Read all of a trace, within limits. Raises CondsimError, naming the file."""
    packed = folder / "programs.json.gz"
    if packed.is_file() and _unpacked_bytes(packed) > LIMIT_PROGRAMS_BYTES:
        raise CondsimError(
            f"{called}: programs.json.gz is larger than {si(LIMIT_PROGRAMS_BYTES, 'B')} unpacked; that is not a trace"
        )
    for path in folder.rglob("*.parquet"):
        try:
            rows = pq.read_metadata(path).num_rows
        except Exception as e:
            raise CondsimError(
                f"{path} is damaged or truncated ({type(e).__name__}); capture the trace again"
            ) from None
        if rows > LIMIT_ROWS:
            raise CondsimError(
                f"{path} claims {rows:,} rows, more than {LIMIT_ROWS:,}; run `condsim app FOLDER` on the trace instead"
            )
    try:
        trace = load(folder)
        for site in trace.sites:
            trace.unit_counts(site.name)
    except CondsimError:
        raise
    except Exception as e:
        raise CondsimError(
            f"{called} cannot be read as a trace ({type(e).__name__}: {e}); capture it again"
        ) from e
    return trace


def _unpacked_bytes(path: Path) -> int:
    """Size of a gzip file's content, read no further than over the limit."""
    size, unpack = 0, zlib.decompressobj(wbits=31)
    with path.open("rb") as file:
        try:
            while (chunk := file.read(CHUNK)) and size <= LIMIT_PROGRAMS_BYTES:
                while chunk and size <= LIMIT_PROGRAMS_BYTES:
                    size += len(unpack.decompress(chunk, CHUNK))
                    chunk = unpack.unconsumed_tail
        except zlib.error:
            return size  # `load` says what is wrong with it
    return size
