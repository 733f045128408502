"""Where the files that come with condsim are: at the top of the repository, or inside the wheel."""

from __future__ import annotations

from pathlib import Path


def resource(kind: str) -> Path:
    """The folder of a kind of files ("hwprofiles", "traces"), or "app.py".

    It may not exist where none of that kind were installed.
    """
    package = Path(__file__).resolve().parent
    in_repository = package.parent / kind
    is_repository = (package.parent / "pyproject.toml").is_file()
    if is_repository and in_repository.exists():
        return in_repository
    return package / "_data" / kind
