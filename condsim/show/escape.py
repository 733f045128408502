"""Text that others wrote, such as names and notes of a trace or a profile: it stays text.

Each medium that gives some characters a meaning has a function here that takes it from them: a
terminal (`printable`), Markdown (`markdown`, `code`), a spreadsheet (`csv`) and a figure
(`figure_text`). HTML has `condsim.show.html`; JSON has no such characters.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

MARKDOWN = re.compile(r"[\\`*_\[\]<>$:~|&@#]|(?<=\bwww)\.|^[+=-]|(?<=^\d)[.)]", re.IGNORECASE)
"""What has a meaning in the Markdown of Streamlit, which knows formulas and addresses as well."""
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""What a cell begins with that a spreadsheet runs."""


def printable(text: str) -> str:
    """Text in which characters that a terminal obeys or does not show are written as escapes.

    They are control characters (ESC becomes \\x1b), marks of direction, and halves of characters
    that no encoding has. Lines stay lines.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" else _written_out(c) for c in text)


def _written_out(character: str) -> str:
    return ascii(character)[1:-1]


def one_line(text: str) -> str:
    """Printable text without line breaks, and one space where several were."""
    return printable(" ".join(text.split()))


def markdown(text: str) -> str:
    """One line of Markdown that shows a text as it is."""
    return MARKDOWN.sub(r"\\\g<0>", one_line(text))


def code(text: str) -> str:
    """A code span of Markdown that holds a text as it is; nothing for nothing."""
    line = one_line(text)
    if not line:
        return ""
    longest = max(map(len, re.findall("`+", line)), default=0)
    fence = "`" * (longest + 1)
    padding = " " if longest else ""
    return f"{fence}{padding}{line}{padding}{fence}"


def csv(table: pd.DataFrame) -> str:
    """A table as CSV without its index; a text that a spreadsheet would run is quoted by a '."""
    safe = table.rename(columns=_cell).map(_cell)
    text: str = safe.to_csv(index=False)
    return text


def _cell(value: object) -> object:
    """A cell or the name of a column, which no spreadsheet takes for a formula."""
    if not isinstance(value, str):
        return value
    text = printable(value)
    return f"'{text}" if text.startswith(FORMULA) or value.startswith(FORMULA) else text


def figure_text(text: object) -> str:
    """One line for a figure of Matplotlib: no formula between dollars, and in a legend as well."""
    line = one_line(str(text)).replace("$", r"\$")
    return f" {line}" if line.startswith("_") else line  # legends leave out what begins with _
