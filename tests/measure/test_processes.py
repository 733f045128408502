"""Fresh processes: what they say of themselves is passed on, and nothing of them stays."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from condsim.errors import CondsimError
from condsim.measure import processes
from condsim.measure.plan import Plan
from condsim.measure.processes import processes_for
from condsim.measure.replay import Captured
from condsim.trace.read import load


@pytest.fixture
def ends_with(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Lets every worker run some Python code instead of measuring."""
    start = processes.subprocess.Popen

    def install(code: str) -> None:
        def popen(_command: list[str], **options: Any) -> Any:
            return start([sys.executable, "-c", code], **options)

        monkeypatch.setattr(processes.subprocess, "Popen", popen)

    return install


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import sys; print('a\\nbad batch', file=sys.stderr); sys.exit(2)", "^bad batch$"),
        ("raise KeyError('x')", "the measuring process ended with code 1: KeyError: 'x'"),
        ("import os; os._exit(3)", "the measuring process ended with code 3: it said nothing"),
    ],
)
def test_a_process_that_fails_is_an_error(
    leaving: Captured, ends_with: Any, code: str, message: str
) -> None:
    ends_with(code)
    with processes_for(leaving.trace, None) as fresh, pytest.raises(CondsimError, match=message):
        fresh.run(Plan(), 0, 1)


def test_progress_is_passed_on(leaving: Captured, ends_with: Any) -> None:
    ends_with("print('hello'); print('[\"measure\", 1, 4]'); raise SystemExit(2)")
    told: list[tuple[str, int, int]] = []
    with (
        processes_for(leaving.trace, lambda *step: told.append(step)) as fresh,
        pytest.raises(CondsimError),
    ):
        fresh.run(Plan(), 1, 3)
    assert told == [("measure (process 2 of 3)", 1, 4)]


def test_the_folder_holds_the_trace_and_is_removed(leaving: Captured) -> None:
    with processes_for(leaving.trace, None) as fresh:
        folder: Path = fresh.trace_folder
        assert load(folder).name == leaving.trace.name
    assert not folder.exists()
