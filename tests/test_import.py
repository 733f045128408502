"""Importing condsim is quick and brings no torch; neither does the command line until a command
needs it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from condsim.cli import COMMANDS

HEAVY = ("torch", "matplotlib", "streamlit", "transformers")
ANY_WORK = (
    *HEAVY,
    "numpy",
    "scipy",
    "pandas",
    "pyarrow",
    "pydantic",
    "simpy",
    "yaml",
    "altair",
    "sklearn",
)


def python(code: str, *before: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *before, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env={**os.environ, "NO_COLOR": "1"},
    )


@pytest.mark.parametrize(
    "statement",
    [
        "import condsim",
        "import condsim.predict.simulate, condsim.study.compare, condsim.predict.timeline",
        "import condsim; condsim.load; condsim.simulate; condsim.compare; condsim.hardware",
        "import condsim.measure",
        "import condsim.show.text, condsim.show.plots",
        "import condsim.cli; condsim.cli.main(['--help'])",
        "import condsim.cli; condsim.cli.main(['profiles'])",
    ],
)
def test_no_torch(statement: str) -> None:
    done = python(
        f"import sys\n{statement}\nheavy = [m for m in {HEAVY} if m in sys.modules]\n"
        "assert not heavy, heavy"
    )
    assert done.returncode == 0, done.stderr


def test_help_and_completion_bring_nothing_that_works() -> None:
    """What keeps them under 300 ms: they need the command line's own library and nothing else."""
    asked = [
        ["--version"],
        ["--help"],
        *([name, "--help"] for name in COMMANDS),
        ["completion", "bash"],
    ]
    done = python(
        f"import sys, condsim.cli\nfor asked in {asked}:\n    assert condsim.cli.main(asked) == 0\n"
        f"    heavy = [m for m in {ANY_WORK} if m in sys.modules]\n"
        "    assert not heavy, (asked, heavy)"
    )
    assert done.returncode == 0, done.stderr


def test_public_names_are_the_contract() -> None:
    done = python("import condsim; print(sorted(condsim.__all__))")
    names = [
        "CondsimError",
        "MaskHistory",
        "ModelShape",
        "Parallel",
        "RoutingGenerator",
        "RoutingHistory",
        "Scenario",
        "Training",
        "advise",
        "branch",
        "calibrate",
        "capture",
        "compare",
        "coverage",
        "drift",
        "fit_routing",
        "force",
        "frontier",
        "hardware",
        "import_routing",
        "load",
        "route",
        "routing",
        "serve",
        "simulate",
        "simulate_many",
        "speculate",
        "sweep",
        "tokens",
    ]
    assert done.stdout.strip() == str(names)


def test_importing_a_module_keeps_the_function_of_its_name() -> None:
    done = python(
        "import condsim.predict.simulate, condsim.study.compare, condsim; "
        "assert callable(condsim.simulate) and callable(condsim.compare)"
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["simulate", "--help"],
        ["capture", "--help"],
        ["demo", "--help"],
        ["profiles"],
    ],
)
def test_works_without_torch(arguments: list[str]) -> None:
    without = (
        "import sys\nsys.modules['torch'] = None\n"
        "import condsim.cli\nsys.exit(condsim.cli.main(%r))"
    )
    done = python(without % arguments)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_a_command_that_needs_torch_says_so(tmp_path: Path) -> None:
    done = python(
        "import sys\nsys.modules['torch'] = None\nimport condsim.cli\n"
        "sys.exit(condsim.cli.main(['capture', 'moe-bytes', '-o', 'x']))",
        cwd=tmp_path,
    )
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert "condsim[capture]" in done.stderr
