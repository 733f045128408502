"""Sizes in whole blocks."""

from __future__ import annotations

from typing import Any


def round_up(size: Any, block: int) -> Any:
    """The smallest multiple of a block that is not below a size; int or int array [n]."""
    return -(-size // block) * block
