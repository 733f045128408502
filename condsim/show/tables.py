"""Tables for a terminal: columns that say which value of a row stands in them, and how."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from rich.table import Table
from rich.text import Text

Row = Mapping[Any, Any]


@dataclass(frozen=True)
class Column:
    """A column of a table: its header, and which value of a row stands in it.

    show: how the value is written. right: whether it stands on the right, as numbers do. wraps:
    whether a long text may go on in the next line.
    """

    header: str
    key: str
    show: Callable[[Any], str | Text] = str
    right: bool = False
    wraps: bool = False


def table_of(columns: Sequence[Column], rows: Iterable[Row], title: str | None = None) -> Table:
    """A table without lines. rows: a value for the key of each column."""
    table = without_lines(columns, title)
    for row in rows:
        table.add_row(*cells_of(columns, row))
    return table


def without_lines(columns: Sequence[Column], title: str | None = None) -> Table:
    """A table without lines and without rows."""
    title_text = None if title is None else Text(title, "table.title")
    table = Table(
        title=title_text,
        title_justify="left",
        box=None,
        pad_edge=False,
        padding=(0, 2, 0, 0),
    )
    for column in columns:
        side: Literal["left", "right"] = "right" if column.right else "left"
        table.add_column(column.header, justify=side, no_wrap=not column.wraps)
    return table


def cells_of(columns: Sequence[Column], row: Row) -> list[Text]:
    """Cells of a row; brackets in a name are no markup."""
    shown = [column.show(row[column.key]) for column in columns]
    return [cell if isinstance(cell, Text) else Text(cell) for cell in shown]
