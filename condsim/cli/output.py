"""What the commands print: where it goes, progress, JSON."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from condsim.show.escape import printable

SCHEMA_VERSION = 1
"""Of the JSON that commands print."""
TERMINAL_WIDTH = 150
FILE_WIDTH = 240
"""Characters that a table has at least, so that none is cut."""


class Step(Protocol):
    """Shows how far a piece of work is: what it is, how much is done, and of how much."""

    def __call__(self, what: str, done: float, of: float = 1.0, /) -> None: ...


class _Console(Console):
    """Prints text as it is: no markup, no codes of emoji, no characters that a terminal obeys."""

    def __init__(self, **options: Any) -> None:
        super().__init__(highlight=False, markup=False, emoji=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """Text of a string, such as a cell of a table, as long as it will be shown."""
        return super().render_str(printable(text), **options)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterator[Segment]:
        """What is written; colours and the like are added later."""
        for segment in super().render(renderable, options):
            text, style, control = segment
            yield segment if control else Segment(printable(text), style)

    def on_broken_pipe(self) -> None:
        """Leave it to `condsim.cli.main` what happens when nobody reads any more."""
        raise


def out() -> Console:
    """Where data go. Never so narrow that a table would be cut."""
    console = _Console()
    least = TERMINAL_WIDTH if console.is_terminal else FILE_WIDTH
    return _Console(width=max(console.width, least))


def err() -> Console:
    """Where everything else goes."""
    return _Console(stderr=True, soft_wrap=True)


def say(text: str) -> None:
    """Print a line on stderr."""
    err().print(text)


def suggest(*commands: str) -> None:
    """Print on stderr what to try next."""
    say("next: " + "\n      ".join(commands))


def command(*words: object) -> str:
    """A command line of condsim that a shell takes word by word, whatever is in them."""
    return shlex.join(["condsim", *map(str, words)])


def print_json(data: dict[str, Any]) -> None:
    """Print one JSON object on stdout: schema_version, then `data` as `plain` makes it."""
    versioned = {"schema_version": SCHEMA_VERSION, **data}
    print(json.dumps(plain(versioned), indent=1, allow_nan=False))


def plain(value: Any) -> Any:
    """A value as JSON has it.

    NumPy's scalars become numbers, numbers that are not finite None, tables lists of rows, pydantic
    models dictionaries, and anything else its text.
    """
    if isinstance(value, dict):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [plain(inner) for inner in value]
    if hasattr(value, "to_dict") and hasattr(value, "columns"):
        return plain(value.to_dict("records"))
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if hasattr(value, "model_dump"):
        return plain(value.model_dump(exclude_none=True))
    is_missing = value != value  # true of pandas' NaT and the like only
    return None if is_missing else str(value)


@contextmanager
def progress() -> Iterator[Step]:
    """A bar on stderr for each piece of work, where stderr is a terminal."""
    console = err()
    if not console.is_terminal or console.is_dumb_terminal:
        yield _show_nothing
        return
    with _bars(console) as step:
        yield step


def _show_nothing(_what: str, _done: float, _of: float = 1.0, /) -> None:
    """Progress where nobody watches."""


@contextmanager
def _bars(console: Console) -> Iterator[Step]:
    from rich.progress import (
        BarColumn,
        Progress,
        TaskID,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as bars:
        tasks: dict[str, TaskID] = {}

        def step(what: str, done: float, of: float = 1.0, /) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=of)
            bars.update(tasks[what], completed=done, total=of)

        yield step
