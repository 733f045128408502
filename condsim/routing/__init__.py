"""Routing that is drawn instead of recorded: fitted to a trace, or from published figures."""

from __future__ import annotations

from condsim.routing.fit import fit_routing
from condsim.routing.generator import RoutingGenerator

__all__ = ["RoutingGenerator", "fit_routing"]
