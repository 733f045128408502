"""HTML whose text is escaped: only `tag` makes elements, and what is not HTML yet becomes text."""

from __future__ import annotations

from html import escape

from condsim.show.escape import printable

ALONE = ("img", "meta")
"""Elements without content and end."""


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def tag(name: str, /, *content: str, **attributes: str) -> Html:
    """One element. content: HTML of `tag` stays HTML, any other text is escaped.

    attributes: their values are escaped; a trailing _ is left out of their names (class_).
    """
    words = [name]
    for key, value in attributes.items():
        words.append(f'{key.rstrip("_")}="{_text(value)}"')
    start = f"<{' '.join(words)}>"
    if name in ALONE:
        return Html(start)
    return Html(f"{start}{joined(*content)}</{name}>")


def joined(*content: str, between: str = "") -> Html:
    """Pieces one after the other; those that are no HTML yet are escaped."""
    pieces = [piece if isinstance(piece, Html) else _text(piece) for piece in content]
    return Html(between.join(pieces))


def _text(text: str) -> str:
    return escape(printable(text), quote=True)
