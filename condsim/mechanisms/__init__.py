"""The ways in which a model computes less for an input: one file, one object a mechanism.

A new mechanism is a new file here that registers an object, and the strategies that run it; every
module of this folder is imported.
"""

from __future__ import annotations

import importlib
import pkgutil

from condsim.mechanisms.base import (
    MECHANISMS,
    Draw,
    Guards,
    Mechanism,
    Redraw,
    Rows,
    mechanism,
    mechanism_of,
)

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = [
    "MECHANISMS",
    "Draw",
    "Guards",
    "Mechanism",
    "Redraw",
    "Rows",
    "mechanism",
    "mechanism_of",
]
