"""app: the dashboard is started with what was asked, and not at all for bad input."""

from __future__ import annotations

import os

import pytest

from cli.harness import Run, check_refused

LOCAL = "--server.address=127.0.0.1"
"""An option, which the environment and settings of Streamlit cannot change."""


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands that took the place of this process."""
    commands: list[list[str]] = []
    monkeypatch.setattr(os, "execv", lambda _, command: commands.append(command))
    monkeypatch.setattr(os, "environ", dict(os.environ))
    return commands


def test_options_reach_streamlit(run: Run, started: list[list[str]]) -> None:
    assert run("app", "moe-bytes", "--port", 8600, "--headless").code == 0
    (command,) = started
    assert command[1:4] == ["-m", "streamlit", "run"]
    assert command[4].endswith("app.py")
    assert command[5:] == ["--server.headless=true", LOCAL, "--server.port=8600"]


def test_the_port_is_streamlit_s_choice(run: Run, started: list[list[str]]) -> None:
    assert run("app").code == 0
    assert started[0][5:] == ["--server.headless=false", LOCAL]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--port", "0"], ["port must be 1 to 65535, got 0"]),
        (["nowhere"], ["nowhere"]),
    ],
)
def test_bad_input(
    run: Run, started: list[list[str]], arguments: list[str], words: list[str]
) -> None:
    check_refused(run("app", *arguments), *words)
    assert not started
