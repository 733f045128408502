"""What a terminal shows."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console


def printed(*renderables: Any) -> list[str]:
    """The lines that a wide terminal without colours shows."""
    file = io.StringIO()
    console = Console(file=file, width=300, color_system=None)
    for renderable in renderables:
        console.print(renderable)
    return file.getvalue().splitlines()
