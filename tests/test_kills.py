"""Whatever is written is there whole, the old one or the new one, after a kill or on a full disk.

A sample of the points at which each command can be killed; `make fuzz` tries all of them.
"""

from __future__ import annotations

import contextlib
import os
import resource as limits
import shutil
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dashboard.bad_uploads import files_of, packed
from fuzz.bases import small
from kills import kills
from made_traces import make_trace

import condsim
from condsim.cli import COMMANDS, app, main
from condsim.dashboard.parts import upload
from condsim.decide.frontier import recapture
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


Written = Callable[[Path, Path], object]


def on(name: str, *more: str) -> Written:
    """A command about a trace on a device that writes a file by its last option."""
    return lambda t, to: command(name, t, "--device", DEVICE, *more, to)


def of_experts(t: Path) -> Path:
    """The trace with experts, beside another."""
    return t.parent / "moe"


def swept(t: Path, to: Path, batches: Sequence[int] = (1, 2)) -> None:
    condsim.sweep(condsim.load(t), {"batch": list(batches)}, DEVICE, out=to)


def a_sweep(t: Path, to: Path) -> None:
    """What is replaced by a sweep: the table of another one."""
    swept(t, to, [1])


def a_text(_: Path, to: Path) -> None:
    to.write_bytes(OLD)


SERVED = ("--poisson", "100/s", "--count", "20")
FILES: dict[tuple[str, str], tuple[str, Written]] = {
    ("compare", "--csv"): ("a.csv", lambda t, to: command("compare", t, "--csv", to)),
    ("simulate", "--timeline"): ("a.json", on("simulate", "--timeline")),
    ("simulate", "--plot"): ("a.svg", on("simulate", "--plot")),
    ("serve", "--timeline"): ("a.json", on("serve", *SERVED, "--timeline")),
    ("serve", "--plot"): ("a.svg", on("serve", *SERVED, "--plot")),
    ("serve", "--csv"): ("a.csv", on("serve", *SERVED, "--csv")),
    ("report", "--output"): ("a.html", on("report", "--output")),
    ("frontier", "--plot"): (
        "a.svg",
        lambda t, to: command("frontier", EXITS, "--device", DEVICE, "--plot", to),
    ),
    ("methods", "--plot"): ("a.svg", lambda _, to: command("methods", "--plot", to)),
    ("export", "--output"): ("a.npz", lambda t, to: command("export", of_experts(t), "-o", to)),
    ("export", "as npy"): ("a.npy", lambda t, to: command("export", of_experts(t), "-o", to)),
    ("calibrate", "its end"): ("a.yaml", lambda _, to: hardware(DEVICE).save(to)),
    ("sweep", "--output"): ("a.parquet", swept),
}
"""(command, option) → the file that it writes, and how. A calibration ends by saving a profile."""
EXITS = "exit-fashion"
"""A trace that comes with condsim, of whose model the quality is known."""
REPLACED: dict[tuple[str, str], Written] = {("sweep", "--output"): a_sweep}
"""What makes the file that is replaced, where not any file may be."""
QUICK = (("compare", "--csv"), ("simulate", "--timeline"), ("calibrate", "its end"))
"""Those that are tried in `make test`; all write by one function."""
SLOW = pytest.mark.slow


def check_kills(tmp_path: Path, name: tuple[str, str], folder: Path, every: int) -> None:
    """Kill a command that replaces a file; afterwards it works."""
    file, write = FILES[name]
    write_old = REPLACED.get(name, a_text)
    write(folder, tmp_path / file)
    write_old(folder, tmp_path / f"old-{file}")
    new, old = (tmp_path / f"{which}{file}" for which in ("", "old-"))
    seen = set()

    def prepare(base: Path) -> Path:
        shutil.copy(old, base / file)
        return base / file

    for target in kills(tmp_path / "k", prepare, lambda to: write(folder, to), every, least=4):
        seen.add(target.read_bytes())
        write(folder, target)
        assert target.read_bytes() == new.read_bytes()
        assert os.listdir(target.parent) == [file], "something was left"
    assert seen <= {old.read_bytes(), new.read_bytes()}
    assert new.read_bytes() in seen


@pytest.mark.parametrize("name", QUICK)
def test_a_killed_command_leaves_the_old_file_or_the_new(
    tmp_path: Path, folder: Path, name: tuple[str, str]
) -> None:
    check_kills(tmp_path, name, folder, SAMPLED_EVERY)


@SLOW
@pytest.mark.parametrize("name", FILES)
def test_a_command_killed_at_every_file_operation(
    tmp_path: Path, folder: Path, name: tuple[str, str]
) -> None:
    check_kills(tmp_path, name, folder, 1)


TRACES = {("capture", "--output"), ("import", "--output")}
"""Those that write a trace: killed below."""
OTHERS = {
    ("serve", "--requests"): "is read",
    ("methods", "--folder"): "is read",
    ("demo", "--output"): "captures, saves and measures as capture and measure do",
}
RERUN = {"demo", "capture", "import", "frontier", "noise"}
"""Commands that may replace a trace, and so have --force: killed below, and `demo` as above."""


def test_every_option_that_writes_a_file_is_killed() -> None:
    """A new one fails here until it is."""
    named = {(name, a.name) for name, a in arguments() if "Path" in str(a.hint)}
    with_files = {key for key in FILES if key[1].startswith("--")}
    assert {key for key in named if key[1].startswith("--")} == with_files | TRACES | {*OTHERS}
    assert {name for name, a in arguments() if a.name == "--force"} == RERUN


def arguments() -> Iterator[tuple[str, Any]]:
    """(command, argument) of the whole command line."""
    for name in COMMANDS:
        for argument in app[name].assemble_argument_collection():
            yield name, argument


def test_a_sweep_that_goes_on_is_killed(tmp_path: Path, folder: Path) -> None:
    """What was priced stays, and what lies beside it is not the sweep's."""
    swept(folder, tmp_path / "whole.parquet")
    whole = (tmp_path / "whole.parquet").read_bytes()

    def prepare(base: Path) -> Path:
        (base / "a.parquet.parts").mkdir()
        (base / "a.parquet.parts" / "mine.parquet").write_text("not of condsim")
        return base / "a.parquet"

    runs = kills(tmp_path / "k", prepare, lambda to: swept(folder, to), SAMPLED_EVERY, least=6)
    for target in runs:
        assert not target.exists() or target.read_bytes() == whole
        swept(folder, target)
        assert target.read_bytes() == whole
        assert os.listdir(f"{target}.parts") == ["mine.parquet"]


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


@SLOW
@pytest.mark.parametrize(
    ("name", "option", "told", "kept", "runs"),
    [
        ("frontier", "--settings", "share=0.25,0.75", "settings", "captured_at"),
        ("noise", "--inputs", "noise=0.5", "noise", "observed_at"),
    ],
)
def test_settings_killed_at_every_file_operation(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    option: str,
    told: str,
    kept: str,
    runs: str,
) -> None:
    """The trace stays as it is; what lies beside it can be opened, and is there in the end.

    The model runs once, and not once for each kill.
    """
    specs = Path(__file__).parent / "cli" / "tiny.py"
    command("capture", f"{specs}:graded", "-o", tmp_path / "t", "--no-measure")
    before = files_of(tmp_path / "t")
    run = getattr(recapture, runs)
    traces = list(run(condsim.load(tmp_path / "t"), recapture.Asked.parse(told)))
    monkeypatch.setattr(recapture, runs, lambda *_: iter(traces))

    def write(to: Path) -> None:
        command(name, to, "--device", DEVICE, "--capture", option, told)

    def prepare(base: Path) -> Path:
        shutil.copytree(tmp_path / "t", base / "t")
        return base / "t"

    for target in kills(tmp_path / "k", prepare, write):
        for beside in (target / kept).glob("[!.]*"):
            condsim.load(beside)
        write(target)
        now = files_of(target)
        assert {file: now[file] for file in before} == before
        assert all(condsim.load(beside).units for beside in (target / kept).iterdir())


# A part of a file that a killed process has left


def parts(folder: Path) -> list[str]:
    return [name for name in os.listdir(folder) if name.endswith(".part")]


def test_a_part_is_removed_unless_another_process_writes_it(tmp_path: Path, folder: Path) -> None:
    """Two writers are stopped before their last step; one of them is killed."""
    _, write = FILES["calibrate", "its end"]
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
@pytest.mark.parametrize("name", [*QUICK, ("simulate", "--plot")])
def test_a_full_disk_leaves_the_old_file(
    tmp_path: Path,
    folder: Path,
    name: tuple[str, str],
    most: int,
    capsys: pytest.CaptureFixture[str],
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
