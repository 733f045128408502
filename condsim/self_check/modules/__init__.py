"""The built-in modules, one file each; every module of this folder is imported."""

from __future__ import annotations

import importlib
import pkgutil

from condsim.self_check.modules.built_in import MODULES, BuiltIn, built_in

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["MODULES", "BuiltIn", "built_in"]
