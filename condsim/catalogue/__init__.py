"""Models that people run, by name: their architecture as published, and what they are fairly
compared with.

A model is one file here; every module of this folder is imported. What they share is in `parts`.
"""

from __future__ import annotations

import importlib
import pkgutil

from condsim.catalogue.parts.base import CATALOGUE, CatalogueModel

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["CATALOGUE", "CatalogueModel"]
