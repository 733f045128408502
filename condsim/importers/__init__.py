"""Importers: each reads one layout of routing that a serving engine or a trainer recorded.

An importer is one file here that registers an object; every module of this folder is imported. What
they share is in `parts`.
"""

from __future__ import annotations

import importlib
import pkgutil

from condsim.importers.parts.base import IMPORTERS, Importer, ModelShape, importer
from condsim.importers.parts.importing import Imported, import_routing, read_routing

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = [
    "IMPORTERS",
    "Imported",
    "Importer",
    "ModelShape",
    "import_routing",
    "importer",
    "read_routing",
]
