"""Whatever is written is there whole, the old one or the new one, after a kill or on a full disk.

A sample of the points at which each command can be killed; `make fuzz` tries all of them.
"""

from __future__ import annotations

import contextlib
import os
import resource as limits
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from dashboard.bad_uploads import files_of, packed
from fuzz.bases import small
from kills import kills
from made_traces import make_trace

import condsim
from condsim.cli import main
from condsim.dashboard.parts import upload
from condsim.errors import CondsimError
from condsim.files import temporary_folder
from condsim.hardware import hardware
from condsim.resources import resource
from condsim.trace import Trace

DEVICE = "raspberry-pi-5"
OLD = b"old"
SAMPLED_EVERY = 3
"""Of the file operations of a command, where not all are tried."""
Write = Callable[[Path], object]


@pytest.fixture(scope="module")
def trace() -> Trace:
    """A small trace; what is computed once is not computed again in each process."""
    return small(condsim.load(resource("traces") / "exit-fashion"))


@pytest.fixture(scope="module")
def folder(trace: Trace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the trace is; beside it, `moe`, one with experts."""
    beside = tmp_path_factory.mktemp("trace")
    make_trace().save(beside / "moe")
    return trace.save(beside / "t")


def command(*words: object) -> None:
    """Run a command line whose data nobody reads."""
    with open(os.devnull, "w") as nobody, contextlib.redirect_stdout(nobody):
        code = main([str(word) for word in words])
    assert code in (0, 2)


FILES: dict[str, tuple[str, Callable[[Path, Path], object]]] = {
    "compare --csv": ("a.csv", lambda t, to: command("compare", t, "--csv", to)),
    "simulate --timeline": (
        "a.json",
        lambda t, to: command("simulate", t, "--device", DEVICE, "--timeline", to),
    ),
    "simulate --plot": (
        "a.svg",
        lambda t, to: command("simulate", t, "--device", DEVICE, "--plot", to),
    ),
    "report": ("a.html", lambda t, to: command("report", t, "--device", DEVICE, "-o", to)),
    "calibrate": ("a.yaml", lambda _, to: hardware(DEVICE).save(to)),
    "export": ("a.npz", lambda t, to: command("export", t.parent / "moe", "-o", to)),
}
"""Command → the file that it writes, and how. A calibration ends by saving a profile."""
QUICK = ("compare --csv", "simulate --timeline", "calibrate")
"""Those that are tried in `make test`; all write by one function."""
SLOW = pytest.mark.slow


def check_kills(tmp_path: Path, name: str, folder: Path, every: int) -> None:
    """Kill a command that replaces a file; afterwards it works."""
    file, write = FILES[name]
    write(folder, tmp_path / file)
    new = (tmp_path / file).read_bytes()
    seen = set()

    def prepare(base: Path) -> Path:
        (base / file).write_bytes(OLD)
        return base / file

    for target in kills(tmp_path / "k", prepare, lambda to: write(folder, to), every, least=4):
        seen.add(target.read_bytes())
        write(folder, target)
        assert target.read_bytes() == new
        assert os.listdir(target.parent) == [file], "something was left"
    assert seen <= {OLD, new}
    assert new in seen


@pytest.mark.parametrize("name", QUICK)
def test_a_killed_command_leaves_the_old_file_or_the_new(
    tmp_path: Path, folder: Path, name: str
) -> None:
    check_kills(tmp_path, name, folder, SAMPLED_EVERY)


@SLOW
@pytest.mark.parametrize("name", FILES)
def test_a_command_killed_at_every_file_operation(tmp_path: Path, folder: Path, name: str) -> None:
    check_kills(tmp_path, name, folder, 1)


def check_killed_uploads(tmp_path: Path, folder: Path, every: int) -> None:
    data = packed(files_of(folder))

    def keep(into: Path) -> str:
        return upload.keep_zip(data, "t.zip", into)

    def prepare(base: Path) -> Path:
        (base / "into").mkdir()
        return base / "into"

    for into in kills(tmp_path / "k", prepare, keep, every):
        for kept in into.glob("[!.]*"):
            condsim.load(kept)
        assert condsim.load(into / keep(into)).name == "exit-fashion"


def test_a_killed_upload_is_no_trace(tmp_path: Path, folder: Path) -> None:
    check_killed_uploads(tmp_path, folder, 4 * SAMPLED_EVERY)


@SLOW
def test_an_upload_killed_at_every_file_operation(tmp_path: Path, folder: Path) -> None:
    check_killed_uploads(tmp_path, folder, 1)


def capture(to: Path) -> None:
    specs = Path(__file__).parent / "cli" / "tiny.py"
    command("capture", f"{specs}:gated", "-o", to, "--no-measure")


def import_routing(to: Path) -> None:
    """From arrays that lie beside, outside of what is watched."""
    command("import", to.parent.parent / "ids.npy", "-o", to)


@SLOW
@pytest.mark.parametrize("write", [capture, import_routing])
def test_a_new_trace_killed_at_every_file_operation(tmp_path: Path, write: Write) -> None:
    """It replaces another one."""
    np.save(tmp_path / "ids.npy", np.arange(24).reshape(4, 3, 2) % 5)

    def prepare(base: Path) -> Path:
        make_trace("old").save(base / "t")
        return base / "t"

    names = set()
    for target in kills(tmp_path / "k", prepare, write):
        found = condsim.load(target)
        names.add(found.name)
        for site in found.sites:
            found.unit_counts(site.name)
        write(target)
        assert condsim.load(target).name != "old"
        assert os.listdir(target.parent) == ["t"]
    assert len(names) == 2
    assert "old" in names


# A part of a file that a killed process has left


def parts(folder: Path) -> list[str]:
    return [name for name in os.listdir(folder) if name.endswith(".part")]


def test_a_part_is_removed_unless_another_process_writes_it(tmp_path: Path, folder: Path) -> None:
    """Two writers are stopped before their last step; one of them is killed."""
    _, write = FILES["calibrate"]
    children = [_stopped_before_the_end(lambda: write(folder, tmp_path / "a.yaml")) for _ in (1, 2)]
    (tmp_path / ".condsim-mine.part").write_text("not of condsim")
    assert len(parts(tmp_path)) == 3
    os.kill(children[0], signal.SIGKILL)
    os.waitpid(children[0], 0)
    write(folder, tmp_path / "b.yaml")
    assert len(parts(tmp_path)) == 2
    os.kill(children[1], signal.SIGCONT)
    assert os.waitstatus_to_exitcode(os.waitpid(children[1], 0)[1]) == 0
    assert sorted(os.listdir(tmp_path)) == [".condsim-mine.part", "a.yaml", "b.yaml"]


def _stopped_before_the_end(action: Callable[[], object]) -> int:
    """A process that stopped itself before it renames a file."""
    child = os.fork()
    if child == 0:
        try:
            rename = Path.replace

            def stop(self: Path, to: Path) -> Path:
                os.kill(os.getpid(), signal.SIGSTOP)
                return rename(self, to)

            Path.replace = stop  # type: ignore[method-assign,assignment]
            action()
            os._exit(0)
        finally:
            os._exit(1)
    os.waitpid(child, os.WUNTRACED)
    return child


# A full disk


@contextlib.contextmanager
def disk_of(most: int) -> Iterator[None]:
    """No file may get longer than so many bytes."""
    before = limits.getrlimit(limits.RLIMIT_FSIZE)
    limits.setrlimit(limits.RLIMIT_FSIZE, (most, before[1]))
    try:
        yield
    finally:
        limits.setrlimit(limits.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("most", [0, 100])
@pytest.mark.parametrize("name", [*QUICK, "simulate --plot"])
def test_a_full_disk_leaves_the_old_file(
    tmp_path: Path, folder: Path, name: str, most: int, capsys: pytest.CaptureFixture[str]
) -> None:
    file, write = FILES[name]
    (tmp_path / file).write_bytes(OLD)
    try:
        with disk_of(most):
            write(folder, tmp_path / file)
        said = capsys.readouterr().err
    except CondsimError as error:
        said = f"error: {error}\n"
    assert said == f"error: {tmp_path / file} cannot be written: File too large\n"
    assert (tmp_path / file).read_bytes() == OLD
    assert os.listdir(tmp_path) == [file]


@pytest.mark.parametrize("most", [0, 100, 3000])
def test_a_full_disk_leaves_the_old_trace(tmp_path: Path, trace: Trace, most: int) -> None:
    old = make_trace("old").save(tmp_path / "t")
    before = files_of(old)
    for target in (old, tmp_path / "new"):
        with disk_of(most), pytest.raises(CondsimError, match="cannot be saved to: File too large"):
            replace(trace, profile=None).save(target, force=True)
    assert files_of(old) == before
    assert os.listdir(tmp_path) == ["t"]


def test_a_temporary_folder_goes_where_the_disk_is_full(tmp_path: Path) -> None:
    with contextlib.suppress(OSError), temporary_folder("condsim-test-") as work, disk_of(0):
        shutil.copy(__file__, work / "copy")
    assert not work.parent.exists()
