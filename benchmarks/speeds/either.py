"""What moved between condsims."""

from __future__ import annotations

import importlib
from typing import Any


def first_of(name: str, *modules: str) -> Any:
    """Return what has this name in the first of these modules that this condsim has.

    Raises ModuleNotFoundError where it has none of them.
    """
    for module in modules[:-1]:
        try:
            return getattr(importlib.import_module(module), name)
        except (ModuleNotFoundError, AttributeError):
            continue
    return getattr(importlib.import_module(modules[-1]), name)
