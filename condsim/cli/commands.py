"""Commands: what a function of this folder is where `cli_command` enters it.

Every module of the folder is imported when the command line starts, so each of them imports what
works (NumPy, PyTorch, the library) inside of its functions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from condsim.registry import Registry

Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True)
class Command:
    """One command.

    run: its arguments are the command's, its docstring is the command's help.
    says: what the overview says of it. place: in the overview, which goes by ascending places.
    """

    run: Callable[..., Any]
    says: str
    place: int


COMMANDS: Registry[Command] = Registry("command")


def cli_command(name: str, says: str, *, place: int) -> Callable[[Function], Function]:
    """Decorator: enter a function as a command; says and place as in `Command`.

    The decorator raises ValueError for a name that is taken.
    """

    def enter(function: Function) -> Function:
        COMMANDS.register(name)(Command(function, says, place))
        return function

    return enter
