"""Self-speculative decoding for a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from condsim.show.tables import Column, table_of
from condsim.show.text import number, seconds, times

if TYPE_CHECKING:
    from condsim.decide.speculation.speculate import Speculation


def speculation_lines(found: Speculation) -> Iterator[Text | Table]:
    """What drafting gains: a row for each exit and number of drafts."""
    pays = found.best["speedup"] > 1
    style = "bold green" if pays else "bold yellow"
    yield Text(found.verdict, style)
    together = "one sequence" if found.batch == 1 else f"{found.batch} sequences together"
    plain_s = float(found.table["plain_s"].iloc[0])
    basis = found.table["basis"].iloc[0]
    yield Text(f"{found.profile}, {together}; a plain step takes {seconds(plain_s)} ({basis})\n")
    rows = found.table.assign(kept=found.table["tokens_a_cycle"] - 1)
    yield table_of(_columns(), rows.to_dict("records"))
    yield Text("\nkept: drafts a cycle that are the whole model's tokens, in the captured text")


def _columns() -> list[Column]:
    return [
        Column("exit", "exit"),
        Column("drafts", "drafts", right=True),
        Column("kept", "kept", number, right=True),
        Column("pays from", "break_even", number, right=True),
        Column("a cycle", "cycle_s", seconds, right=True),
        Column("in plain steps", "cost", number, right=True),
        Column("speedup", "speedup", times, right=True),
    ]
