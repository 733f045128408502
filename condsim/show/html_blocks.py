"""Lists, tables and pictures of a page in HTML."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import TYPE_CHECKING

import pandas as pd

from condsim.show.figure_files import rendered
from condsim.show.html import Html, tag

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def listed(items: Iterable[str]) -> Html:
    """Texts as a list."""
    return tag("ul", *(tag("li", item) for item in items))


def table_of(table: pd.DataFrame) -> Html:
    """A table in HTML; numbers stand on the right."""
    head = tag("tr", *(tag("th", str(column)) for column in table.columns))
    lines = [head]
    for row in table.itertuples(index=False):
        lines.append(tag("tr", *(_cell(str(value)) for value in row)))
    return tag("table", *lines)


def _cell(text: str) -> Html:
    is_number = text.lstrip("x+-")[:1].isdigit()
    return tag("td", text, class_="n") if is_number else tag("td", text)


def picture(figure: Figure, description: str) -> Html:
    """A figure inside of the file. description: for those who cannot see it."""
    data = base64.b64encode(rendered(figure, "svg")).decode()
    return tag("img", alt=description, src=f"data:image/svg+xml;base64,{data}")
