"""Published statistics of routing: how unevenly experts of real models are loaded.

A model is one file here; every module of this folder is imported. Only figures derived from what
was published are kept, with their source.
"""

from __future__ import annotations

import importlib
import pkgutil

from condsim.routing.parts.statistics import STATISTICS, Statistics

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["STATISTICS", "Statistics"]
