"""What a batch does when samples leave it early: one policy a file, every module is imported."""

from __future__ import annotations

import importlib
import pkgutil

from condsim.serve.exits.base import EXIT_POLICIES, ExitPolicy

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["EXIT_POLICIES", "ExitPolicy"]
