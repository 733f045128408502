"""A measurement that is killed or told to end leaves no process and no folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from condsim.files import temporary_folder
from condsim.hardware import hardware
from condsim.measure.processes import FOLDER
from condsim.measure.replay import Captured
from measure.conftest import TINY
from measure.test_fresh import with_spec

PATIENCE_S = 120
"""A busy machine is slow; nothing here depends on how slow."""
PROGRAM = "import sys; from condsim.cli import main; sys.exit(main())"


def until(is_so: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.02)


def children(process: int) -> list[int]:
    try:
        return [
            int(n) for n in Path(f"/proc/{process}/task/{process}/children").read_text().split()
        ]
    except OSError:
        return []


def runs(process: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False


@pytest.fixture
def measuring(leaving: Captured, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """`condsim measure`, and its worker, which has begun."""
    trace = with_spec(leaving.trace, f"{TINY}:leaving")
    folder = replace(trace, profile=hardware("google-tpu-v4")).save(tmp_path / "trace")
    (tmp_path / "tmp").mkdir()
    start = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "  # as in a shell
        "import condsim.cli.measure as r; r.local_profile = lambda *_, **__: None; "  # calibrates
        f"{PROGRAM}"
    )
    command = [sys.executable, "-c", start, "measure", str(folder), "--pairs", "100000"]
    environment = {**os.environ, "TMPDIR": str(tmp_path / "tmp")}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        try:
            until(lambda: children(process.pid) or process.poll() is not None)
            (worker,) = children(process.pid)
            yield process, worker
        finally:
            process.kill()


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs /proc")
@pytest.mark.parametrize(
    ("told", "code"), [(signal.SIGKILL, -9), (signal.SIGTERM, 143), (signal.SIGINT, 130)]
)
def test_nothing_is_left(
    measuring: tuple[subprocess.Popen[str], int], tmp_path: Path, told: signal.Signals, code: int
) -> None:
    process, worker = measuring
    process.send_signal(told)
    assert process.wait(PATIENCE_S) == code
    until(lambda: not runs(worker))
    assert list((tmp_path / "tmp").iterdir()) == []
    assert process.stderr is not None
    assert "Traceback" not in process.stderr.read()


def test_the_next_run_removes_what_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a process that was killed while it had no worker; what is in use or not ours stays."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    child = os.fork()
    if child == 0:
        with temporary_folder(FOLDER) as folder:
            (folder / "trace").mkdir()
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    (tmp_path / "mine").mkdir()
    assert len(list(tmp_path.iterdir())) == 2
    with temporary_folder(FOLDER) as first, temporary_folder(FOLDER) as second:
        assert sorted(tmp_path.iterdir()) == sorted(
            [first.parent, second.parent, tmp_path / "mine"]
        )
    assert list(tmp_path.iterdir()) == [tmp_path / "mine"]
