"""The wheel is built once, and installed once, as docs/index.md says it is done."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from installed.environment import Environment, link_needs
from installed.pages import DOCS, blocks, script

ROOT = DOCS.parent


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy without anything that git ignores: what an earlier build left behind
    must not get in."""
    source, built = tmp_path_factory.mktemp("source") / "condsim", tmp_path_factory.mktemp("dist")
    ignored = [line.strip("/") for line in (ROOT / ".gitignore").read_text().split()]
    shutil.copytree(
        ROOT, source, ignore=shutil.ignore_patterns(".git", "tests", "docs", "benchmarks", *ignored)
    )
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--wheel-dir",
        str(built),
        str(source),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (found,) = built.iterdir()
    return found


@pytest.fixture(scope="session")
def everything(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """`condsim[all]`, installed in an empty folder by the first block of the first page, word by
    word."""
    folder = tmp_path_factory.mktemp("user")
    shutil.copy(wheel, folder)
    environment = Environment(
        folder,
        link_needs(wheel, ["all"], tmp_path_factory.mktemp("all") / "site-packages"),
        folder / ".venv/bin",
    )
    done = environment.run(script(blocks(DOCS / "index.md")[:1]))
    assert done.returncode == 0, done.stderr
    return environment


@pytest.fixture(scope="session")
def core(
    wheel: Path, everything: Environment, tmp_path_factory: pytest.TempPathFactory
) -> Environment:
    """The same without the packages of any extra: `condsim` alone."""
    return replace(
        everything, needs=link_needs(wheel, [], tmp_path_factory.mktemp("core") / "site-packages")
    )
