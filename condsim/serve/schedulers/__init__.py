"""Who runs in the next step: one policy a file, every module of this folder is imported."""

from __future__ import annotations

import importlib
import pkgutil

from condsim.serve.schedulers.base import SAMPLES, SCHEDULERS, TEXT, Scheduler, schedulers_for

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["SAMPLES", "SCHEDULERS", "TEXT", "Scheduler", "schedulers_for"]
