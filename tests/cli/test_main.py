"""The command line as a whole: where output goes, exit codes, and one line for bad input."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest

from cli.harness import GPU, Run, check_refused
from condsim.cli import COMMANDS, main
from condsim.hardware import cache_folder


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


def test_what_is_too_much_is_shortened(run: Run) -> None:
    done = run("simulate", "moe-bytes", "--runtime", "eager", "n" * 5000)
    assert done.code == 2
    assert len(done.err) < 1100


def test_an_interrupt_is_silent(run: Run, trace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("condsim.cli.simulated.open_trace", interrupt)
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


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_a_terminal_without_a_character_shows_another(
    trace: Path, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    terminal = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", terminal)
    assert main(["simulate", str(trace), "--device", GPU]) == 0
    terminal.seek(0)
    assert GPU in terminal.read()


def fail(*_: object, **__: object) -> None:
    raise KeyError("x\ny")


def test_a_failure_of_condsim_itself_is_one_line(
    run: Run, trace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("condsim.cli.simulated.open_trace", fail)
    done = run("simulate", trace)
    assert (done.code, done.out) == (1, "")
    assert len(done.err.splitlines()) == 1
    for word in ("condsim itself failed", "KeyError", "CONDSIM_DEBUG"):
        assert word in done.err


def test_its_traceback_is_printed_where_that_is_asked_for(
    run: Run, trace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("condsim.cli.simulated.open_trace", fail)
    monkeypatch.setenv("CONDSIM_DEBUG", "1")
    done = run("simulate", trace)
    assert done.code == 1
    assert "Traceback" in done.err


def test_a_profile_that_cannot_be_read_stops_no_command(run: Run, trace: Path) -> None:
    folder = cache_folder()
    folder.mkdir(parents=True)
    (folder / "half.yaml").write_text("name: 2001-99-99")
    for arguments in (["profiles"], ["simulate", trace, "--device", GPU]):
        done = run(*arguments)
        assert done.code == 0, done.err
    left_out = [line for line in run("profiles").err.splitlines() if "half.yaml" in line]
    assert len(left_out) == 1
    assert left_out[0].startswith("warning: left out")
