"""What operators compute, a file for each kind of product.

A formula enters itself under its operator's name in `OPERATORS` of `condsim.program.work`; every
module of this folder is imported.
"""

from __future__ import annotations

import importlib
import pkgutil

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")
