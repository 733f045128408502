"""One exception for everything a user can put right.

The command line prints its message as one line and exits with 2; the library raises it like any other `ValueError`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class CondsimError(ValueError):
    """Bad input. The message names the thing, the value, the rule and the way out."""


def unknown(kind: str, name: object, known: Iterable[str], see: str = "") -> CondsimError:
    """The error for a name that is not in a registry, with the nearest known names.

    kind: what was looked for ("profile"); name: what was asked; known: what exists; see: a command that lists all.
    """
    names = sorted(known)
    close = difflib.get_close_matches(str(name), names, n=2, cutoff=0.4)
    hint = (
        f"did you mean {' or '.join(repr(c) for c in close)}?"
        if close
        else f"known: {', '.join(names)}"
    )
    return CondsimError(f"unknown {kind} {name!r}; {hint}" + (f" ({see})" if see else ""))
