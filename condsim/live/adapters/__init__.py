"""Adapters: each finds the sites of one kind of model and lets them be watched and forced.

An adapter is a function, model → the modules with sites, in a file here that registers it; every
module of this folder is imported. It takes no class names for granted. Marked sites need no
adapter: they speak for themselves while the model runs.
"""

from __future__ import annotations

import importlib
import pkgutil

import torch

from condsim.live.adapters.base import ADAPTERS, LiveSite

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")


def find_sites(model: torch.nn.Module) -> list[LiveSite]:
    """The modules with sites that all adapters find."""
    sites = []
    for find in ADAPTERS.values():
        sites.extend(find(model))
    return sites


__all__ = ["ADAPTERS", "LiveSite", "find_sites"]
