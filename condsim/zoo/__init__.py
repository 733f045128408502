"""Small models with conditional computation, trained for real, one file a model.

`load` gives a trained one with inputs it has not seen; `train` makes a checkpoint again, from data
on this machine. Every module of this folder is imported, so that a new model is a new file.
"""

from __future__ import annotations

import importlib
import pkgutil

from condsim.zoo.base import ZOO
from condsim.zoo.example import Example
from condsim.zoo.loading import load
from condsim.zoo.training import train

for _module in pkgutil.iter_modules(__path__):
    if not _module.name.startswith("_"):
        importlib.import_module(f"{__name__}.{_module.name}")

__all__ = ["ZOO", "Example", "load", "train"]
