"""The code of a page of the docs: its fenced blocks, as one script that does what a reader does."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

DOCS = Path(__file__).parents[2] / "docs"
RUN = ("bash", "python", "yaml")


@dataclass(frozen=True)
class Block:
    """language: of RUN. title: the file that it is the content of; empty where it is to be run."""

    language: str
    title: str
    code: str


def blocks(page: Path) -> list[Block]:
    """The blocks of a page that a reader types or saves, in order.

    Any other language (`text`: output) is only to be read.
    """
    found = []
    for token in MarkdownIt().parse(page.read_text()):
        if token.type == "fence" and token.info:
            language, *rest = shlex.split(token.info)
            title = next((r.removeprefix("title=") for r in rest if r.startswith("title=")), "")
            found += [Block(language, title, token.content)] if language in RUN else []
    return found


def script(code: Iterable[Block]) -> str:
    """One bash script: files are written, shell lines run as they are, Python runs as a file of
    its own."""
    parts = []
    for i, block in enumerate(code):
        file = block.title or f"block_{i}.py"
        if block.language == "bash":
            parts.append(block.code)
        else:
            parts.append(f"cat > {shlex.quote(file)} <<'END-OF-BLOCK'\n{block.code}END-OF-BLOCK\n")
            if not block.title:
                parts.append(f"python {file}\n")
    return "".join(parts)
