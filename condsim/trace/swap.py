"""Replace the files of a trace in a folder, all or none, and touch no other file in it.

The new files are first written to a folder of their own: inside the one that they are for, or
beside it where there is none yet. When they are complete, one rename publishes them:

- Where there was no folder, the new one gets its name.
- Otherwise it becomes `JOURNAL` inside the folder. From then on the new trace counts. Its files are
  moved into place one by one, and a reader or the next save finishes what a killed process began.

A process that is killed before that rename leaves the old trace as it was, and a folder that the
next save removes. The folder itself is never renamed, so links to it, shells in it and mounts of it
stay.
"""

from __future__ import annotations

import contextlib
import filecmp
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from condsim.errors import CondsimError
from condsim.files import abandoned, like, lock_own, locked, named_errors, unlock

HEADER = "trace.json"
DECISIONS = "decisions"
SINGLE = (
    HEADER,
    "programs.json.gz",
    "steps.parquet",
    "quality.parquet",
    "measurements.parquet",
    "segments.parquet",
    "profile.yaml",
)
"""Files of a trace, but for those in DECISIONS."""
OPTIONAL = (
    "programs.json.gz",
    "quality.parquet",
    "measurements.parquet",
    "segments.parquet",
    "profile.yaml",
)
JOURNAL = ".condsim-save"
"""New files that count already and are not all in place yet."""
UNUSED = "unused.json"
"""In a journal: files of the older trace that the new one does not have. It goes last."""
STAGING = ".condsim-new-"
"""How folders of unpublished files begin."""


def entries(folder: Path) -> list[str]:
    """Names in a folder that no save has left there."""
    names = {name for name in os.listdir(folder) if not name.startswith(STAGING)}
    return sorted(names - {JOURNAL})


def pending(folder: Path) -> bool:
    """Whether a save was published and its files are not all in place."""
    return (folder / JOURNAL).is_dir()


def settle(folder: Path) -> None:
    """Finish what a killed save has published. Raises CondsimError where that is not allowed."""
    if not pending(folder):
        return
    with (
        named_errors(folder, "holds a save that was interrupted and cannot be finished"),
        locked(folder),
    ):
        finish(folder)


@contextlib.contextmanager
def staging(target: Path) -> Iterator[Path]:
    """A new folder for the files of a trace; it is removed at the end unless it was published.

    target: the resolved folder that they are for. Raises OSError where nothing can be written.
    """
    home = target if target.is_dir() else target.parent
    home.mkdir(parents=True, exist_ok=True)
    with locked(target.parent):
        clean(target.parent)
    with locked(home):
        clean(home)
        work = make(home)
        mark = lock_own(work)
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)
        if mark is not None:
            unlock(mark)


def make(home: Path) -> Path:
    """Make an empty folder that counts as abandoned unless it is locked."""
    work = home / f"{STAGING}{secrets.token_hex(6)}"
    work.mkdir()
    return work


def clean(home: Path) -> None:
    """Remove what killed saves have left unpublished."""
    with contextlib.suppress(OSError):
        for name in os.listdir(home):
            if name.startswith(STAGING) and abandoned(home / name):
                shutil.rmtree(home / name, ignore_errors=True)


def appear(work: Path, target: Path) -> bool:
    """Publish where there is no folder yet. Returns False where there is one by now."""
    if target.exists():
        return False
    try:
        work.rename(target)
    except OSError:
        if target.is_dir():
            return False
        raise
    return True


def replace(work: Path, target: Path, unused: list[str]) -> None:
    """Publish into a folder, which the caller has locked, after `finish`.

    unused: files of the older trace, relative to the folder, that the new one does not have.
    """
    _keep_same(work, target)
    for name in _files(work):
        if (target / name).exists():
            like(work / name, target / name)
    (work / UNUSED).write_text(json.dumps(unused))
    work.rename(target / JOURNAL)
    finish(target)


def finish(target: Path) -> None:
    """Move the published files into place; the caller has locked the folder. May be repeated."""
    journal = target / JOURNAL
    if not journal.is_dir():
        return
    listed = journal / UNUSED
    if listed.is_file():
        for name in _files(journal):
            (target / name).parent.mkdir(exist_ok=True)
            (journal / name).replace(target / name)
        for name in _unused(listed):
            (target / name).unlink(missing_ok=True)
        listed.unlink()
    shutil.rmtree(journal)


def check_places(target: Path) -> None:
    """Raises CondsimError where the files of a trace could not be moved into a folder."""
    for name in SINGLE:
        if (target / name).is_dir():
            raise CondsimError(
                f"{target / name} is a folder, where a trace has a file; choose another folder"
            )
    decisions = target / DECISIONS
    if not os.path.lexists(decisions):
        return
    if not decisions.is_dir():
        raise CondsimError(
            f"{decisions} is a file, where a trace has a folder; choose another folder"
        )
    if decisions.stat().st_dev != target.stat().st_dev:
        raise CondsimError(
            f"{decisions} is on another file system than {target}; choose another folder"
        )
    if not os.access(decisions, os.W_OK | os.X_OK):
        raise CondsimError(f"{decisions} cannot be written: Permission denied")


def probe(target: Path) -> None:
    """Raises OSError where no files can be made: in a folder, or in the nearest above it."""
    home = target
    while not os.path.lexists(home):
        home = home.parent
    for part in (target, *target.parents):
        if part == home:
            break
        with contextlib.suppress(FileNotFoundError):
            os.stat(home / part.name)  # says that a name is too long
    tried = make(home)
    with contextlib.suppress(FileNotFoundError):  # another save has taken it for abandoned
        tried.rmdir()


def _keep_same(work: Path, target: Path) -> None:
    """Leave decisions that would be replaced by the same: who has them open may read on."""
    for name in _files(work):
        old = target / name
        if (
            name.startswith(DECISIONS)
            and old.is_file()
            and filecmp.cmp(work / name, old, shallow=False)
        ):
            (work / name).unlink()


def _files(folder: Path) -> list[str]:
    """Files of a trace in a folder, relative to it, in the order in which they are moved."""
    decisions = sorted(p.name for p in (folder / DECISIONS).glob("*.parquet"))
    names = [*(f"{DECISIONS}/{n}" for n in decisions), *reversed(SINGLE)]
    return [n for n in names if (folder / n).is_file()]


def _unused(listed: Path) -> list[str]:
    """What may be removed; a name that no trace has is left alone, whoever wrote the list."""
    try:
        names = json.loads(listed.read_text())
    except (ValueError, RecursionError):
        return []
    if not isinstance(names, list):
        return []
    texts = [name for name in names if isinstance(name, str)]
    return [name for name in texts if name in OPTIONAL or _is_decisions(name)]


def _is_decisions(name: str) -> bool:
    return re.fullmatch(rf"{DECISIONS}/[A-Za-z0-9._-]+\.parquet", name) is not None
