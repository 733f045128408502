"""Is inference 30 % faster at equal quality, as conditional models promise?

    python -m benchmarks.frontier [--batch N ...] [--write]

It predicts every model of the zoo at every setting on eight devices, beside its dense rivals.
--write puts the table into docs/frontier.md, and the figure of one model into docs/images.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pandas as pd

import condsim
from benchmarks.tables import markdown, replace_between
from condsim.decide.frontier.claim import Claim
from condsim.decide.frontier.frontier import Frontier
from condsim.hardware.device_classes import DEVICE_CLASSES
from condsim.resources import resource
from condsim.show.frontier_figure import save_frontier
from condsim.zoo import ZOO

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs" / "frontier.md"
FIGURE = ROOT / "docs" / "images" / "frontier.svg"
DRAWN = "exit-fashion"
DEVICES = (
    "raspberry-pi-5",
    "intel-i7-8700",
    "nvidia-h100-sxm",
    "nvidia-rtx-3060",
    "google-tpu-v5e",
    "google-edge-tpu",
    "apple-neural-engine-m4",
)
"""Beside the machine that each trace was measured under: those that differ."""
FIGURE_DEVICES = ("raspberry-pi-5", "nvidia-h100-sxm", "google-tpu-v5e", "google-edge-tpu")
KINDS = tuple(DEVICE_CLASSES)


def rows_of(name: str, batches: list[int]) -> list[dict[str, Any]]:
    """A row a batch."""
    folder = resource("traces") / name
    here = condsim.load(folder).profile
    assert here is not None
    found = condsim.frontier(folder, [here, *DEVICES], batches=batches)
    if name == DRAWN:
        print(found.sentence)
    return [_row(found, batch) for batch in batches]


def _row(found: Frontier, batch: int) -> dict[str, Any]:
    claims = [claim for claim in found.claims if claim.batch == batch]
    row: dict[str, Any] = {"model": found.trace, "batch": batch, "here": _said(claims[0])}
    for kind in KINDS:
        of_kind = [claim for claim in claims[1:] if claim.kind == kind]
        reached = sum(claim.reached for claim in of_kind)
        sure = sum(claim.verdict == "reached" for claim in of_kind)
        row[kind.upper()] = f"{reached} of {len(of_kind)} ({sure} surely)"
    row["dense rival, here"] = _rival(claims[0])
    beaten = sum((claim.rival_speed or 0) > (claim.speed or 0) for claim in claims)
    row["rival is faster on"] = f"{beaten} of {len(claims)}"
    return row


def _said(claim: Claim) -> str:
    if not claim.point:
        return "no setting is as good"
    said = f"{claim.point}: {claim.speed:.2f}x"
    return said if claim.measured_speed is None else f"{said}, measured {claim.measured_speed:.2f}x"


def _rival(claim: Claim) -> str:
    return f"{claim.rival}: {claim.rival_speed:.2f}x" if claim.rival else "none is as good"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--batch", type=int, nargs="+", default=[32])
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for name in ZOO:
        rows += rows_of(name, given.batch)
        print(pd.DataFrame(rows[-len(given.batch) :]).T.to_string(), flush=True)
    text = markdown(pd.DataFrame(rows))
    print(text)
    if given.write:
        replace_between(DOCS, "frontier", text)
        drawn = condsim.frontier(resource("traces") / DRAWN, [*FIGURE_DEVICES])
        save_frontier(drawn, FIGURE)


if __name__ == "__main__":
    main()
