"""Do something in a process that is killed before one of its file operations."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

EVENTS = {
    "os.rename",
    "os.remove",
    "os.rmdir",
    "os.mkdir",
    "os.chmod",
    "os.chown",
    "os.link",
    "os.symlink",
    "os.truncate",
    "os.listdir",
    "os.scandir",
    "shutil.rmtree",
    "shutil.move",
    "shutil.copyfile",
    "open",
    "fcntl.flock",
}
"""What Python tells of its file operations."""


def killed(action: Callable[[], object], at: int, below: Path) -> bool:
    """Do something in a process that is killed before its file operation `at`.

    below: the folder whose files count. Returns whether there were so many.
    """
    child = os.fork()
    if child == 0:
        try:
            kill_before(at, below)
            action()
            os._exit(0)
        finally:
            os._exit(1)
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


def kill_before(at: int, below: Path) -> None:
    """Kill this process before its file operation `at` from now on."""
    left = [at]

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event not in EVENTS or not _touches(arguments, below):
            return
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left[0] -= 1

    sys.addaudithook(hook)


def _touches(arguments: tuple[Any, ...], below: Path) -> bool:
    """Whether an operation is about a file below a folder; a lock is given by a number only."""
    return any(isinstance(a, int) or str(a).startswith(str(below)) for a in arguments[:1])


def kills(
    base: Path,
    prepare: Callable[[Path], Path],
    action: Callable[[Path], object],
    every: int = 1,
    least: int = 20,
) -> Iterator[Path]:
    """What was prepared, after a kill at each file operation in turn, and after none.

    every: only at each so many. least: operations that there must be.
    """
    at, more = 0, True
    while more:
        shutil.rmtree(base, ignore_errors=True)
        base.mkdir()
        prepared = prepare(base)
        more = killed(lambda p=prepared: action(p), at, base)  # type: ignore[misc]
        yield prepared
        at += every
    assert at > least
