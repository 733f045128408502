"""What tests of commands share: an empty folder to run in, and a tiny captured model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cli.harness import GPU, Done, Run
from condsim.cli import main
from condsim.hardware import hardware

TINY = Path(__file__).with_name("tiny.py")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run a command in an empty folder, with an empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_COLOR", "1")
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)

    def call(*arguments: object) -> Done:
        code = main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return Done(code, printed.out, printed.err)

    return call


@pytest.fixture(scope="session")
def spec() -> Path:
    """The file whose functions make the models that tests capture."""
    return TINY


@pytest.fixture(scope="session")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A captured tiny model, not measured."""
    folder = tmp_path_factory.mktemp("traces") / "tiny"
    assert main(["capture", f"{TINY}:gated", "-o", str(folder), "--no-measure"]) == 0
    return folder


@pytest.fixture(scope="session")
def measured(trace: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same model with measurements, under the profile of another machine."""
    from condsim.measure import measure

    folder = tmp_path_factory.mktemp("traces") / "measured"
    timed = measure(trace, processes=1, pairs=3)
    return replace(timed, profile=hardware(GPU)).save(folder)
