"""Write files so that a reader finds the old one whole or the new one whole, and lock folders.

Every file that condsim gives a user goes through `write_whole`. A trace, which is a folder of
files, goes through `condsim.trace.swap`, which takes its locks and its messages from here.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from condsim.errors import CondsimError

try:
    import fcntl
except ImportError:  # Windows has no such locks
    fcntl = None  # type: ignore[assignment]

PART = re.compile(r"\.condsim-[0-9a-f]{12}\.part")
"""Names of files that are not complete yet."""


def write_whole(path: str | Path, content: str | bytes) -> Path:
    """Write a file whole or not at all; returns `path`.

    path: a link stays a link, and the file that it leads to is replaced. A file that is replaced
    keeps its permissions. Devices, pipes, and what is standard output already are written in place.
    content: text is written as UTF-8.
    Raises CondsimError with the reason where it cannot be written; nothing is left beside it then,
    and what a killed process has left there is removed.
    """
    with named_errors(path):
        data = content.encode() if isinstance(content, str) else content
        if not _in_place(path, data):
            _check_replaceable(Path(path))
            _replace(Path(path).resolve(), data)
    return Path(path)


@contextlib.contextmanager
def open_whole(path: str | Path) -> Iterator[IO[bytes]]:
    """Write a file piece by piece, whole or not at all, as `write_whole` does with content.

    Raises CondsimError with the reason where it cannot be written; nothing is left beside it then.
    """
    with named_errors(path):
        if is_stream(path):
            with open(path, "wb") as stream:
                yield stream
            return
        _check_replaceable(Path(path))
        with _new_file(Path(path).resolve()) as file:
            yield file


def check_writable(path: str | Path) -> None:
    """Raises CondsimError where `write_whole` could not write, as far as can be seen beforehand."""
    with named_errors(path):
        if not is_stream(path):
            _check_replaceable(Path(path))


def is_stream(path: str | Path) -> bool:
    """Whether a path is a device, a pipe or a socket, which cannot be replaced, only written to."""
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):  # there is no such path, and with a NUL there can be none
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


@contextlib.contextmanager
def named_errors(path: str | Path, what: str = "cannot be written") -> Iterator[None]:
    """Turn errors of the operating system into a CondsimError: the path, `what`, the reason.

    A closed pipe stays what it is: whoever reads has had enough.
    """
    if "\0" in str(path):
        raise CondsimError(f"{str(path)!r} {what}: a path holds no NUL character")
    try:
        yield
    except BrokenPipeError:
        raise
    except (OSError, RuntimeError) as error:
        if not _from_the_system(error):
            raise
        raise CondsimError(f"{path} {what}: {reason(error)}") from error
    except UnicodeEncodeError as error:
        raise CondsimError(f"{path} {what}: it would hold {error.object[error.start]!a}") from error


def _from_the_system(error: Exception) -> bool:
    """Whether the operating system refused; pathlib tells a loop of links by a RuntimeError."""
    if isinstance(error, OSError):
        return error.errno is not None
    return "Symlink loop" in str(error)


def reason(error: Exception) -> str:
    """What the operating system says, in its words."""
    number = error.errno if isinstance(error, OSError) else errno.ELOOP
    return os.strerror(number) if number else str(error)


def _in_place(path: str | Path, data: bytes) -> bool:
    """Write to what cannot be replaced. Returns whether it was of that kind."""
    open_already = _standard_output(path)
    if open_already is not None:
        if sys.stdout is not None:
            sys.stdout.flush()
        _write_all(os.dup(open_already), data)
        return True
    if is_stream(path):
        _write_all(os.open(path, os.O_WRONLY), data)
        return True
    return False


def _standard_output(path: str | Path) -> int | None:
    """The number of this process's standard output or error, where a path leads there."""
    for number in (1, 2):
        with contextlib.suppress(OSError):
            if os.path.samestat(os.stat(path), os.fstat(number)):
                return number
    return None


def _write_all(number: int, data: bytes) -> None:
    with os.fdopen(number, "wb") as file:
        file.write(data)


def _check_replaceable(path: Path) -> None:
    """Raises CondsimError or OSError where no file could be put in the place of `path`."""
    if path.is_dir():
        raise CondsimError(f"{path} is a folder, not a file")
    target = path.resolve()
    if not target.parent.is_dir():
        raise CondsimError(
            f"{path}: there is no folder {target.parent if path.is_symlink() else path.parent}"
        )
    with contextlib.suppress(FileNotFoundError):
        os.stat(target)  # says that a name is too long
    for needed in (target, target.parent):
        if needed.exists() and not os.access(needed, os.W_OK):
            raise _refusal(needed)


def _refusal(path: Path) -> OSError:
    """Why a path that exists is not writable."""
    read_only = bool(os.statvfs(path).f_flag & os.ST_RDONLY) if hasattr(os, "statvfs") else False
    number = errno.EROFS if read_only else errno.EACCES
    return OSError(number, os.strerror(number), str(path))


def _replace(target: Path, data: bytes) -> None:
    with _new_file(target) as file:
        file.write(data)


@contextlib.contextmanager
def _new_file(target: Path) -> Iterator[IO[bytes]]:
    """A file that takes the place of `target` when all is written, and is removed otherwise."""
    _remove_abandoned(target.parent, PART)
    part, mark = _own(lambda: _new_part(target.parent))
    try:
        with part.open("wb") as file:
            yield file
        if target.exists():
            like(part, target)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
        if mark is not None:
            unlock(mark)


def _new_part(folder: Path) -> Path:
    """An empty file for what is not complete yet."""
    part = folder / f".condsim-{secrets.token_hex(6)}.part"
    os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
    return part


@contextlib.contextmanager
def temporary_folder(prefix: str) -> Iterator[Path]:
    """A folder for one process, removed at its end; those of processes that were killed go, too.

    prefix: how the name of the folder around it begins, whose lock says that it is in use; what
    follows is made of letters, digits and "_".
    """
    _remove_abandoned(Path(tempfile.gettempdir()), re.compile(re.escape(prefix) + r"\w+"))
    folder, mark = _own(lambda: Path(tempfile.mkdtemp(prefix=prefix)))
    try:
        work = folder / "work"
        work.mkdir()
        yield work
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if mark is not None:
            unlock(mark)


def _own(make: Callable[[], Path]) -> tuple[Path, int | None]:
    """A new file or folder and its lock, which says that it is in use."""
    while True:
        path = make()
        mark = lock_own(path)
        if os.path.lexists(path):
            return path, mark
        if mark is not None:  # it was taken for abandoned before it was locked
            unlock(mark)


def _remove_abandoned(folder: Path, names: re.Pattern[str]) -> None:
    """Remove this user's files and folders of such names that killed processes have left."""
    if fcntl is None:
        return
    with contextlib.suppress(OSError):
        for name in os.listdir(folder):
            if names.fullmatch(name) and _is_own(folder / name):
                _remove_unless_in_use(folder / name)


def _is_own(path: Path) -> bool:
    """Whether a file or folder, which is no link, belongs to this user."""
    found = path.lstat()
    return not stat.S_ISLNK(found.st_mode) and found.st_uid == os.geteuid()


def _remove_unless_in_use(path: Path) -> None:
    """Remove a file or folder while its lock is held, so that nobody begins to use it meanwhile."""
    try:
        mark = _lock(path, "at once")
    except BlockingIOError:
        return
    if mark is None:
        return
    with contextlib.suppress(OSError):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    unlock(mark)


def like(new: Path, old: Path) -> None:
    """Give a file the owner, where that is allowed, and the permissions of the one it replaces."""
    was, now = old.stat(), new.stat()
    if hasattr(os, "chown") and (was.st_uid, was.st_gid) != (now.st_uid, now.st_gid):
        with contextlib.suppress(PermissionError):
            os.chown(new, was.st_uid, was.st_gid)
    if stat.S_IMODE(was.st_mode) != stat.S_IMODE(now.st_mode):
        new.chmod(stat.S_IMODE(was.st_mode))


Stamp = tuple[int, int, int]
"""(bytes, time of modification in ns, inode): differs where a file was written or replaced."""


def stamp(path: Path) -> Stamp | None:
    """What a file looks like from outside; None where there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns, found.st_ino


@contextlib.contextmanager
def locked(folder: Path, shared: bool = False) -> Iterator[bool]:
    """Hold a folder against other processes and threads that lock it too; gives whether it is held.

    It is not where the file system has no locks, or the folder cannot be opened. The lock is the
    operating system's and ends with the process; nothing is written. Not to be nested.
    """
    way = "shared" if shared else "alone"
    number = _lock(folder, way)
    try:
        yield number is not None
    finally:
        if number is not None:
            unlock(number)


def lock_own(folder: Path) -> int | None:
    """Mark a folder as in use by this process until `unlock`; None where that is not possible."""
    return _lock(folder, "alone")


def abandoned(folder: Path) -> bool:
    """Whether a folder that was marked by `lock_own` belongs to no running process any more."""
    try:
        number = _lock(folder, "at once")
    except BlockingIOError:
        return False
    if number is None:
        return False
    unlock(number)
    return True


def _lock(folder: Path, how: str) -> int | None:
    if fcntl is None:
        return None
    kinds = {
        "shared": fcntl.LOCK_SH,
        "alone": fcntl.LOCK_EX,
        "at once": fcntl.LOCK_EX | fcntl.LOCK_NB,
    }
    try:
        number = os.open(folder, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(number, kinds[how])
    except BlockingIOError:
        os.close(number)
        raise
    except OSError:
        os.close(number)
        return None
    return number


def unlock(number: int) -> None:
    """End a lock, also where a forked process still has its number open."""
    with contextlib.suppress(OSError):
        fcntl.flock(number, fcntl.LOCK_UN)
    os.close(number)
