"""Where the files that come with condsim are: at the top level of the repository, or inside the installed wheel."""

from __future__ import annotations

from pathlib import Path


def resource(kind: str) -> Path:
    """The folder of a kind of files ("hwprofiles", "traces"), or "app.py". It may not exist where none of that kind were installed."""
    package = Path(__file__).resolve().parent
    beside = package.parent / kind
    return (
        beside
        if (package.parent / "pyproject.toml").is_file() and beside.exists()
        else package / "_data" / kind
    )
