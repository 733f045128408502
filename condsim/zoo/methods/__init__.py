"""Ways in which gates are trained, one file a method: the same model, data and steps under each.

`METHODS` (`base.py`) holds them by name. `condsim/decide/methods/` trains by them, watches how the
model routes on the way, and keeps what that gave.
"""

from __future__ import annotations

import importlib
import pkgutil

for _module in pkgutil.iter_modules(__path__):
    if not _module.name.startswith("_"):
        importlib.import_module(f"{__name__}.{_module.name}")
