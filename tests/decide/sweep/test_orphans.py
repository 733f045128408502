"""A worker whose parent was killed ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

WORKER = """
import os, sys, time
from condsim.decide.sweep.orphans import end_with
end_with(int(sys.argv[1]))
print("begun", flush=True)
time.sleep(100)
"""
STARTER = """
import os, subprocess, sys, time
worker = subprocess.Popen([sys.executable, "-c", sys.argv[1], str(os.getpid())])
print(worker.pid, flush=True)
time.sleep(100)
"""


def test_a_worker_ends_with_its_parent() -> None:
    command = [sys.executable, "-c", STARTER, WORKER]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout is not None
        worker = int(starter.stdout.readline())
        assert starter.stdout.readline() == "begun\n"
        assert not ends(worker, within_s=2)
        starter.kill()
        try:
            assert ends(worker, within_s=60)
        finally:
            _end(worker)


def test_a_worker_whose_parent_is_gone_already_ends_at_once() -> None:
    code = (
        "import time; from condsim.decide.sweep.orphans import end_with; "
        "end_with(1); time.sleep(60)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 1


def ends(process: int, within_s: float) -> bool:
    """Whether a process ends by itself."""
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    return False


def _end(process: int) -> None:
    try:
        os.kill(process, signal.SIGKILL)
    except ProcessLookupError:
        return
