"""The look of --help: the lines of a docstring are one paragraph, as wide as the terminal."""

from __future__ import annotations

from cyclopts.help import DefaultFormatter, HelpPanel, InlineText
from rich.console import Console, ConsoleOptions
from rich.text import Text


class JoinLines(DefaultFormatter):
    """Cyclopts' own look, but for the line breaks inside of a description."""

    def __call__(self, console: Console, options: ConsoleOptions, panel: HelpPanel) -> None:
        """Print one panel of a help page."""
        for entry in panel.entries:
            if isinstance(entry.description, InlineText):
                _join_lines(entry.description)
        super().__call__(console, options, panel)


def _join_lines(description: InlineText) -> None:
    text = description.primary_renderable
    if isinstance(text, Text):
        description.primary_renderable = Text(" ".join(text.plain.split()))
