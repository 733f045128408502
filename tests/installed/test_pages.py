"""What the docs tell a reader to do is done, word by word, in an environment that holds the
wheel alone."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from installed.environment import Environment
from installed.pages import DOCS, Block, blocks, script

MINUTES = "condsim measure"
SERVES = "condsim app"
OTHERS = (
    "how-it-works",
    "capture",
    "add-an-effect",
    "add-a-device",
    "add-a-device-class",
    "add-a-strategy",
    "add-a-mechanism",
    "add-an-adapter",
    "add-an-importer",
    "drawn-routing",
    "serving",
    "tensor-parallelism",
    "training-methods",
    "training",
    "tokens",
    "frontier",
    "edge-or-cluster",
    "sparse-training",
    "exits-while-decoding",
    "active-neurons",
)


def of(environment: Environment, folder: Path) -> Environment:
    """The same environment in a folder of its own."""
    return replace(environment, folder=folder)


def quick(block: Block) -> bool:
    """Whether it ends within seconds. What does not is run by `pytest -m slow` only."""
    return MINUTES not in block.code and SERVES not in block.code


def test_start_here(everything: Environment, tmp_path: Path) -> None:
    """From a model outside of the zoo to its first waterfall."""
    page, code = DOCS / "index.md", blocks(DOCS / "index.md")[1:]
    reader = of(everything, tmp_path)
    done = reader.run(script(filter(quick, code)))
    assert done.returncode == 0, done.stderr
    assert "where the FLOP saving went" in done.stdout
    shown = next(
        t.content
        for t in MarkdownIt().parse(page.read_text())
        if t.type == "fence" and t.info == "text"
    )
    assert words(shown) in words(done.stdout), "the page shows another output"
    (served,) = (b for b in code if b.code.startswith(SERVES))
    with reader.serving(served.code) as url:
        assert reader.get(f"{url}/_stcore/health") == "ok"


def words(output: str) -> str:
    """An output without its numbers and bars."""
    return " ".join(re.findall(r"[A-Za-z_]{3,}", output))


@pytest.mark.slow
def test_start_here_measured(everything: Environment, tmp_path: Path) -> None:
    """The blocks that take minutes: calibrating this machine and measuring on it."""
    code = blocks(DOCS / "index.md")[1:]
    done = of(everything, tmp_path).run(
        script(b for b in code if SERVES not in b.code), timeout_s=3600
    )
    assert done.returncode == 0, done.stderr
    assert "measured on the machine of their profile" in done.stdout


@pytest.mark.parametrize("page", OTHERS)
def test_other_pages(page: str, everything: Environment, tmp_path: Path) -> None:
    code = blocks(DOCS / f"{page}.md")
    assert code
    done = of(everything, tmp_path).run(script(filter(quick, code)))
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("page", OTHERS)
def test_other_pages_measured(page: str, everything: Environment, tmp_path: Path) -> None:
    """What takes minutes: the first measurement on a machine calibrates it."""
    code = blocks(DOCS / f"{page}.md")
    if all(map(quick, code)):
        pytest.skip("all of it ends within seconds")
    done = of(everything, tmp_path).run(script(code), timeout_s=3600)
    assert done.returncode == 0, done.stderr


def test_all_code_of_all_pages_is_run() -> None:
    """A block on any other page would be run by nobody."""
    assert {p.stem for p in DOCS.glob("*.md") if blocks(p)} == {"index", *OTHERS}
