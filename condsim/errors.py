"""One exception for everything a user can put right.

The command line prints its message as one line and exits with 2; the library raises it like any
other `ValueError`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

MOST_CHARACTERS = 980
"""Of a message. A longer one loses its middle: it begins with what is wrong and ends with the way
out."""
MOST_SHOWN = 60
"""Of a value in a message."""
MOST_NAMES = 40
"""Of the known names in a message."""


class CondsimError(ValueError):
    """Bad input. The message names the thing, the value, the rule and the way out."""

    def __init__(self, message: str) -> None:
        super().__init__(shortened(_in_one_line(message)))


def shown(value: object) -> str:
    """Return a value as Python writes it, shortened; its type where Python cannot write it."""
    try:
        written = repr(value)
    except Exception:  # a whole number of over 4,300 digits; whatever a caller's class raises
        written = f"a {type(value).__name__} that cannot be written"
    return _without_middle(written, MOST_SHOWN)


def summary(error: Exception) -> str:
    """The kind of an error and the first line of what it says."""
    lines = str(error).strip().splitlines()
    kind = type(error).__name__
    return f"{kind}: {lines[0]}" if lines else kind


def unknown(kind: str, name: object, known: Iterable[str], see: str = "") -> CondsimError:
    """The error for a name that is not in a registry: the nearest known names, and all of them.

    kind: what was looked for ("profile"). name: what was asked. known: what exists. see: a command
    that lists all.
    """
    names = sorted(known)
    asked = name[:MOST_SHOWN] if isinstance(name, str) else shown(name)
    nearest = difflib.get_close_matches(asked, names, n=2, cutoff=0.4)
    message = f"unknown {kind} {shown(name)}; "
    if nearest:
        choices = " or ".join(repr(near) for near in nearest)
        message += f"did you mean {choices}? "
    message += f"known: {_listed(names)}"
    if see:
        message += f" ({see})"
    return CondsimError(message)


def _listed(names: list[str]) -> str:
    if not names:
        return "none"
    more = len(names) - MOST_NAMES
    listed = ", ".join(names[:MOST_NAMES])
    return f"{listed} and {more} more" if more > 0 else listed


def _in_one_line(text: str) -> str:
    """Return a text that any terminal and file takes: what is not printable becomes an escape."""
    shown_characters = []
    for character in text:
        escaped = ascii(character)[1:-1]
        shown_characters.append(character if character.isprintable() else escaped)
    return "".join(shown_characters)


def shortened(message: str) -> str:
    """Return a message without its middle, where it is too long for a line."""
    return _without_middle(message, MOST_CHARACTERS)


def _without_middle(text: str, most: int) -> str:
    """Return a text, or its beginning and its end where it has more than `most` characters."""
    if len(text) <= most:
        return text
    end = most // 4
    beginning = most - end - len(" ... ")
    return f"{text[:beginning]} ... {text[-end:]}"
