"""The docs site builds without a warning, from this repository alone, and its pages load nothing
from elsewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
LOADS = re.compile(
    r"""<(?:script|img|iframe)[^>]+src=["']?(?:https?:)?//"""
    r"""|<link[^>]+rel=["']?(?:stylesheet|preconnect)[^>]+href=["']?(?:https?:)?//"""
)

FOLDERS = "condsim|tests|benchmarks|hwprofiles|traces"
NAMED_FILE = re.compile(rf"`((?:{FOLDERS})/[\w/.-]+)`")
EXAMPLE = "NAME"
"""Part of a path that stands for any name."""


def test_every_file_that_is_named_exists() -> None:
    pages = [*(ROOT / "docs").glob("*.md"), ROOT / "CONTRIBUTING.md", ROOT / "README.md"]
    named = {(page.name, path) for page in pages for path in NAMED_FILE.findall(page.read_text())}
    missing = [(page, path) for page, path in named if not (ROOT / path).exists()]
    assert not [found for found in missing if EXAMPLE not in found[1]]
    assert len(named) > 100


def test_builds(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "mkdocs",
        "build",
        "--strict",
        "--quiet",
        "--site-dir",
        str(tmp_path),
    ]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    pages = {p.stem: p.read_text() for p in tmp_path.glob("*.html")}
    assert {p.stem for p in (ROOT / "docs").glob("*.md")} <= set(pages)
    assert not {name for name, text in pages.items() if LOADS.search(text)}


def test_api_page_has_every_public_name() -> None:
    import condsim

    listed = re.findall(r"^::: \S+\.(\w+)$", (ROOT / "docs/api.md").read_text(), re.MULTILINE)
    assert set(condsim.__all__) <= set(listed)
