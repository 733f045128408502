"""Which experts a device keeps: one policy a file, every module of this folder is imported."""

from __future__ import annotations

import importlib
import pkgutil

from condsim.engine.caching.base import CACHE_POLICIES, Block, CachePolicy, History

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["CACHE_POLICIES", "Block", "CachePolicy", "History"]
