"""Ways to send tokens to their experts: one file each, all imported here.

A new one is a new file that registers an `Exchange`.
"""

from __future__ import annotations

import importlib
import pkgutil

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
