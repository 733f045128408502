"""Classes of models that the catalogue knows: how one is built, and how what it decides is drawn.

A class is one file here; every module of this folder is imported.
"""

from __future__ import annotations

import importlib
import pkgutil

from condsim.catalogue.forms.base import FORMS, Form

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["FORMS", "Form"]
