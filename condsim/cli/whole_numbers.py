"""Whole numbers stay whole: Cyclopts rounds what has a decimal point, so 1.5 would become 2."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, get_args

import cyclopts

from condsim.errors import CondsimError

WITH_POINT = re.compile(r"[+-]?(\d+\.\d*|\.\d+)")


def refuse_parts(app: cyclopts.App, words: Sequence[str]) -> None:
    """Raises CondsimError where an option that is a whole number is given one with a part.

    app: whose first word is the command. words: of the command line; 30.0 is whole.
    """
    if not any(_has_part(word.rpartition("=")[2]) for word in words):
        return
    whole = _whole_options(app, words[0]) if words[0] in app else frozenset()
    option = ""
    for word in words[1:]:
        name, equals, value = word.partition("=")
        if name.startswith("--"):
            option = name
            word = value if equals else ""
        if option in whole and _has_part(word):
            raise CondsimError(f"{option} must be a whole number, got {word}")


def _has_part(word: str) -> bool:
    return bool(WITH_POINT.fullmatch(word)) and not float(word).is_integer()


def _whole_options(app: cyclopts.App, command: str) -> frozenset[str]:
    """Names of the options of a command that are whole numbers."""
    found: set[str] = set()
    for argument in app[command].assemble_argument_collection():
        if int in _kinds(argument.hint) and float not in _kinds(argument.hint):
            found.update(argument.names)
    return frozenset(found)


def _kinds(hint: Any) -> set[Any]:
    """A type, and those that it is made of."""
    kinds = {hint}
    for part in get_args(hint):
        kinds |= _kinds(part)
    return kinds
