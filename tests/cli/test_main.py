"""The command line as a whole: where output goes, exit codes, and one line for bad input."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cli.harness import GPU, Run, check_refused
from condsim.cli import COMMANDS


def test_help_names_every_command(run: Run) -> None:
    done = run("--help")
    assert (done.code, done.err) == (0, "")
    for command in COMMANDS:
        assert command in done.out


@pytest.mark.parametrize("command", list(COMMANDS))
def test_every_command_has_help(run: Run, command: str) -> None:
    done = run(command, "--help")
    assert (done.code, done.err) == (0, "")
    assert f"condsim {command}" in done.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["simulat"], ["simulate"]),
        (["simulate"], ["TRACE"]),
        (["capture", "moe-bytes"], ["--output"]),
        (["simulate", "moe-bytes", "--devise", GPU], ["--devise", "--device"]),
    ],
)
def test_what_was_meant_is_said(run: Run, arguments: list[str], words: list[str]) -> None:
    check_refused(run(*arguments), *words)


def test_an_interrupt_is_silent(run: Run, trace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("condsim.cli.simulate.open_trace", interrupt)
    done = run("simulate", trace)
    assert done == (130, "", "")


def test_a_closed_pipe_is_no_error() -> None:
    code = f"import sys, condsim.cli; sys.exit(condsim.cli.main(['profiles', '{GPU}']))"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        child.stdout.close()
        assert "Traceback" not in child.stderr.read()
