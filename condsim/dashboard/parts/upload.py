"""An uploaded trace: a zip or the files of a folder, from anyone. What is taken, what is refused.

Nothing is written outside of one new folder, nothing is unpacked beyond LIMIT_BYTES, and the trace
is read whole before it is kept.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import shutil
import stat
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO

import pyarrow.parquet as pq

from condsim.errors import CondsimError
from condsim.show.text import si
from condsim.trace import Trace
from condsim.trace.header import file_name
from condsim.trace.read import load

LIMIT_BYTES = 2 << 30
"""Of everything in a trace, unpacked."""
LIMIT_FILES = 2000
LIMIT_PATH_CHARACTERS = 1000
LIMIT_NAME_BYTES = 200
"""Of one part of a path: file systems take 255."""
NAME_CHARACTERS = 40
"""So much of a trace's name begins the name of its folder."""
DIGEST_CHARACTERS = 12
PACKED = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
"""How the members of a zip may be packed."""
LIMIT_ROWS = 200_000_000
"""Of one table: a few bytes of Parquet can claim any number."""
CHUNK_BYTES = 1 << 20
KINDS = (".json", ".parquet", ".json.gz", ".yaml")
"""How the names of a trace's files end."""
OF_FILE_MANAGERS = (".DS_Store", "Thumbs.db", "desktop.ini")
"""Files that appear in any folder."""
WAY_OUT = "upload the folder that `condsim capture SPEC -o FOLDER` writes, or a zip of it"
ON_THE_SERVER = "run `condsim app FOLDER` on the trace instead"

Files = Iterable[tuple[str, IO[bytes]]]
"""(path in the folder, content) of each file."""


def keep_zip(data: bytes | IO[bytes], called: str, into: Path) -> str:
    """Unpack a zip, check the trace in it, and keep it in `into`.

    called: what the user knows it as. Returns the name of the trace's folder in `into`. Raises
    CondsimError for anything that is not exactly one trace; nothing is kept then.
    """
    file = io.BytesIO(data) if isinstance(data, bytes) else data
    called = _short(called)
    with _one_sentence(f"{called} is not a zip that can be read"), zipfile.ZipFile(file) as archive:
        return _keep(_members(archive, called), called, into)


def keep_files(files: Files, called: str, into: Path) -> str:
    """Check the trace in the files of a folder, and keep it; otherwise as `keep_zip`."""
    called = _short(called)
    named = ((_with_slashes(name), content) for name, content in files)
    wanted = ((name, content) for name, content in named if not _is_ignored(name))
    with _one_sentence(f"{called} cannot be read"):
        return _keep(wanted, called, into)


@contextlib.contextmanager
def _one_sentence(problem: str) -> Iterator[None]:
    """Turn whatever unpacking and parsing raise into a CondsimError: they raise nearly anything."""
    try:
        yield
    except CondsimError:
        raise
    except Exception as error:
        said = _short(str(error).split("\n", 1)[0])
        raise CondsimError(f"{problem} ({type(error).__name__}: {said}); {WAY_OUT}") from error


def _short(text: str) -> str:
    """A text as a message can hold it."""
    line = " ".join(text.split())
    return line if len(line) <= 80 else f"{line[:77]}..."


def _members(archive: zipfile.ZipFile, called: str) -> Iterator[tuple[str, IO[bytes]]]:
    """The files in a zip, opened one after the other."""
    infos = archive.infolist()
    claimed_bytes = sum(info.file_size for info in infos)
    if claimed_bytes > LIMIT_BYTES:
        raise _too_large(called)
    for info in infos:
        name = _with_slashes(info.filename)
        if name.endswith("/") or _is_ignored(name):
            continue
        _check_member(info, called)
        with archive.open(info) as content:
            yield name, content


def _check_member(info: zipfile.ZipInfo, called: str) -> None:
    """Raises CondsimError for a link, and for what is encrypted or packed in another way."""
    name = repr(_short(info.filename))
    if stat.S_ISLNK(info.external_attr >> 16):
        raise CondsimError(f"{called}: {name} is a link; {WAY_OUT}")
    if info.flag_bits & 1:
        raise CondsimError(f"{called}: {name} is encrypted; pack it without a password")
    if info.compress_type not in PACKED:
        problem = f"{name} is packed in a way that is not taken; pack it with deflate, as zip does"
        raise CondsimError(f"{called}: {problem}")


def _with_slashes(name: str) -> str:
    """A path with "/" between its parts: Windows PowerShell writes a backslash."""
    return name.replace("\\", "/")


def _is_ignored(name: str) -> bool:
    """Whether a file was added by a file manager."""
    path = PurePosixPath(name)
    return "__MACOSX" in path.parts or path.name in OF_FILE_MANAGERS


def _keep(files: Files, called: str, into: Path) -> str:
    """Write the files below a new folder, and rename it to the trace that is in them."""
    work = Path(tempfile.mkdtemp(prefix=".upload-", dir=into))
    try:
        _write(files, called, work)
        folder = _folder_of_the_trace(work, called)
        trace = _read_whole(folder, called)
        name = _folder_name(trace, folder)
        with contextlib.suppress(FileExistsError):  # the same trace was uploaded before
            _rename(folder, into / name)
        return name
    except CondsimError as error:
        said = str(error).replace(f"{work}/", "").replace(str(work), called)
        raise CondsimError(said) from None
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _folder_name(trace: Trace, folder: Path) -> str:
    """A name that tells the trace from all others: the beginning of its own, and a digest."""
    begins = file_name(trace.name).lstrip(".")[:NAME_CHARACTERS] or "trace"
    return f"{begins}-{_digest(folder)[:DIGEST_CHARACTERS]}"


def _rename(folder: Path, target: Path) -> None:
    """Rename a folder. Raises FileExistsError where the target is there."""
    try:
        folder.rename(target)
    except OSError:
        if target.exists():
            raise FileExistsError(target) from None
        raise


def _write(files: Files, called: str, work: Path) -> None:
    """Write the files below `work`, within the limits."""
    left_bytes = LIMIT_BYTES
    for count, (name, content) in enumerate(files):
        if count >= LIMIT_FILES:
            problem = f"has more than {LIMIT_FILES} files: that is not a trace; {WAY_OUT}"
            raise CondsimError(f"{called} {problem}")
        target = _target(name, called, work)
        _make_room(target, name, called, work)
        left_bytes = _write_file(target, content, called, left_bytes)


def _make_room(target: Path, name: str, called: str, work: Path) -> None:
    """Make the folder of a file. Raises CondsimError where the path is taken."""
    for folder in target.relative_to(work).parents:
        if (work / folder).is_file():
            problem = f"{_short(str(folder))!r} is a file and a folder in it"
            raise CondsimError(f"{called}: {problem}; {WAY_OUT}")
    if target.exists():
        raise CondsimError(f"{called}: {_short(name)!r} is in it twice; {WAY_OUT}")
    target.parent.mkdir(parents=True, exist_ok=True)


def _target(name: str, called: str, work: Path) -> Path:
    """Where a file of an upload is written. Raises CondsimError for what leads elsewhere."""
    path = PurePosixPath(name)
    shown = repr(_short(name))
    leads_up = path.is_absolute() or ".." in path.parts or not path.parts
    foreign = any(character in name for character in (":", "\0"))
    if leads_up or foreign:
        raise CondsimError(f"{called}: the path {shown} leads out of the folder; {WAY_OUT}")
    longest = max(len(part.encode(errors="replace")) for part in path.parts)
    if longest > LIMIT_NAME_BYTES or len(name) > LIMIT_PATH_CHARACTERS:
        raise CondsimError(f"{called}: the name {shown} is too long; {WAY_OUT}")
    if not name.endswith(KINDS):
        raise CondsimError(
            f"{called}: {shown} does not belong to a trace, which has only {', '.join(KINDS)}"
            f" files; {WAY_OUT}"
        )
    return work.joinpath(*path.parts)


def _write_file(target: Path, content: IO[bytes], called: str, left_bytes: int) -> int:
    """Write one file. left_bytes: how many may be written; returns how many may be afterwards."""
    with target.open("wb") as file:
        while True:
            most = min(CHUNK_BYTES, left_bytes + 1)
            chunk = content.read(most)
            if not chunk:
                return left_bytes
            left_bytes -= len(chunk)
            if left_bytes < 0:
                raise _too_large(called)
            file.write(chunk)


def _too_large(called: str) -> CondsimError:
    limit = si(LIMIT_BYTES, "B")
    return CondsimError(f"{called} is larger than {limit} unpacked; {ON_THE_SERVER}")


def _folder_of_the_trace(work: Path, called: str) -> Path:
    """The folder below `work` that holds a trace. Raises CondsimError where not exactly one is.

    Traces inside of a trace's folder (other settings, rivals, noise) are parts of it.
    """
    every = sorted(header.parent for header in work.rglob("trace.json"))
    folders = [folder for folder in every if set(every).isdisjoint(folder.parents)]
    if not folders:
        raise CondsimError(f"{called} holds no trace.json; {WAY_OUT}")
    if len(folders) > 1:
        names = ", ".join(_short(str(folder.relative_to(work))) for folder in folders[:3])
        raise CondsimError(f"{called} holds {len(folders)} traces ({names}); upload one at a time")
    return folders[0]


def _read_whole(folder: Path, called: str) -> Trace:
    """Read all of a trace, within the limits. Raises CondsimError, naming the file."""
    _check_rows(folder)
    with _one_sentence(f"{called} cannot be read as a trace"):
        trace = load(folder)
        for site in trace.sites:
            trace.unit_counts(site.name)
    return trace


def _check_rows(folder: Path) -> None:
    """Raise CondsimError where a table has more rows than are read for a visitor."""
    for path in folder.rglob("*.parquet"):
        rows = _claimed_rows(path)
        if rows > LIMIT_ROWS:
            problem = f"claims {rows:,} rows, more than {LIMIT_ROWS:,}; {ON_THE_SERVER}"
            raise CondsimError(f"{path} {problem}")


def _claimed_rows(path: Path) -> int:
    """How many rows a Parquet file says that it has."""
    try:
        return int(pq.read_metadata(path).num_rows)
    except Exception as error:
        problem = f"is damaged or truncated ({type(error).__name__}); capture the trace again"
        raise CondsimError(f"{path} {problem}") from None


def _digest(folder: Path) -> str:
    """A hash of the names and contents of a folder's files."""
    hashes = []
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            hashes.append((str(path.relative_to(folder)), content))
    return hashlib.sha256(repr(hashes).encode()).hexdigest()
