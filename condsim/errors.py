"""One exception for everything a user can put right.

The command line prints its message as one line and exits with 2; the library raises it like any
other `ValueError`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class CondsimError(ValueError):
    """Bad input. The message names the thing, the value, the rule and the way out."""


def unknown(kind: str, name: object, known: Iterable[str], see: str = "") -> CondsimError:
    """The error for a name that is not in a registry, with the nearest known names.

    kind: what was looked for ("profile"). name: what was asked. known: what exists. see: a command
    that lists all.
    """
    names = sorted(known)
    nearest = difflib.get_close_matches(str(name), names, n=2, cutoff=0.4)
    if nearest:
        choices = " or ".join(repr(near) for near in nearest)
        hint = f"did you mean {choices}?"
    else:
        hint = f"known: {', '.join(names)}"
    message = f"unknown {kind} {name!r}; {hint}"
    if see:
        message += f" ({see})"
    return CondsimError(message)
