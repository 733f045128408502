"""How a site executes its decisions: one file a strategy, each says how many rows run.

A rule takes the guards of a site in n calls and returns (rows that reach the site, rows that
run behind each guard), int [n, guards] each. A new strategy is a new file here; every module of
this folder is imported.
"""

from __future__ import annotations

import importlib
import pkgutil

from condsim.strategies.strategy import (
    BASELINES,
    BLOCKS,
    BRANCHED,
    DENSE,
    EVERY_FAMILY,
    EXPERTS,
    OWING,
    STRATEGIES,
    TOKENS,
    WEIGHTS,
    Strategy,
    meant,
    name_of,
    rows_that_run,
    strategies_for,
    strategy,
)

for _module in pkgutil.iter_modules(__path__):
    if _module.name != "choose":
        importlib.import_module(f"{__name__}.{_module.name}")

__all__ = [
    "BASELINES",
    "BLOCKS",
    "BRANCHED",
    "DENSE",
    "EVERY_FAMILY",
    "EXPERTS",
    "OWING",
    "STRATEGIES",
    "TOKENS",
    "WEIGHTS",
    "Strategy",
    "meant",
    "name_of",
    "rows_that_run",
    "strategies_for",
    "strategy",
]
