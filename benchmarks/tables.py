"""Tables of benchmarks, as Markdown and in docs."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from condsim.files import write_whole


def markdown(table: pd.DataFrame) -> str:
    """A table as Markdown. Shares (floats up to 1) are percentages."""
    lines = ["| " + " | ".join(map(str, table.columns)) + " |", "|" + "---|" * len(table.columns)]
    for row in table.to_dict("records"):
        lines.append("| " + " | ".join(_cell(value) for value in row.values()) + " |")
    return "\n".join(lines)


def _cell(value: Any) -> str:
    if value is None or value != value:
        return "n/a"
    if isinstance(value, float):
        return f"{value:.1%}" if value <= 1 else f"{value:,.1f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def replace_between(page: Path, name: str, text: str) -> None:
    """Put a text between the marks of a page. Raises ValueError where it has none."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, _, rest = page.read_text().partition(begin)
    _, marked, after = rest.partition(end)
    if not marked:
        raise ValueError(f"{page} has no {begin} ... {end}")
    write_whole(page, f"{before}{begin}\n{text}\n{end}{after}")


def main_of_page(
    about: str | None, page: Path, repeats: int, rows_of: Callable[[int], list[dict[str, Any]]]
) -> None:
    """Run a benchmark whose table stands on a page of the same name, as its command line asks.

    about: its docstring. repeats: how often it draws where nothing else is asked. rows_of: number
    of draws → the rows of its table.
    """
    parser = argparse.ArgumentParser(
        description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=repeats)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    table = markdown(pd.DataFrame(rows_of(options.repeats)))
    print(table)
    if options.write:
        replace_between(page, page.stem, table)
