"""Tables for a terminal: columns that say which value of a row stands in them, and how."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    import pandas as pd

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


@dataclass(frozen=True)
class Listing:
    """A table in words: its columns, and rows with a value for the key of each."""

    columns: Sequence[Column]
    rows: Sequence[Row]

    def for_terminal(self, title: str | None = None) -> Table:
        """Return it without lines."""
        return table_of(self.columns, self.rows, title)

    def for_page(self) -> pd.DataFrame:
        """Return it as a table of texts; where a header is no name, the column's key is."""
        import pandas as pd

        every = [column.header for column in self.columns]
        headers = []
        for column in self.columns:
            names_it = column.header and every.count(column.header) == 1
            headers.append(column.header if names_it else column.key)
        cells = [_texts(self.columns, row) for row in self.rows]
        return pd.DataFrame(cells, columns=headers)


def _texts(columns: Sequence[Column], row: Row) -> list[str]:
    return [cell.plain for cell in cells_of(columns, row)]


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
