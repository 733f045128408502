"""What does noise do to the quality, the routing and the speedup of every zoo model?

    python -m benchmarks.noise [--write]

--write puts the table into docs/noise.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pandas as pd

import condsim
from benchmarks.tables import markdown, replace_between
from condsim.decide.frontier.settings import traces_in
from condsim.decide.noise.noise import FOLDER, noise
from condsim.resources import resource
from condsim.zoo import ZOO

DOCS = Path(__file__).parents[1] / "docs" / "noise.md"
DEVICE = "raspberry-pi-5"


def rows_of(name: str) -> list[dict[str, Any]]:
    """A row an input."""
    folder = resource("traces") / name
    found = noise(condsim.load(folder), DEVICE, noisy=traces_in(folder / FOLDER))
    return [_row(name, row) for row in found.table.to_dict("records")]


def _row(name: str, row: dict[Any, Any]) -> dict[str, Any]:
    return {
        "model": name,
        "inputs": row["inputs"],
        "quality": f"{row['quality']:.3f}",
        "its dense network": f"{row['dense_quality']:.3f}",
        "decisions moved": float(row["moved"]),
        "by chance": float(row["by_chance"]),
        "work": f"{row['work']:.2f}x",
        "speedup": f"{row['speedup']:.2f}x",
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--write", action="store_true")
    write = parser.parse_args().write
    rows: list[dict[str, Any]] = []
    for name in ZOO:
        rows += rows_of(name)
    text = markdown(pd.DataFrame(rows))
    print(text)
    if write:
        replace_between(DOCS, "noise", text)


if __name__ == "__main__":
    main()
