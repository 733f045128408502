"""Routing that is drawn instead of recorded: fitted to a trace, or from published figures."""

from __future__ import annotations

from condsim.routing.drawn import drawn_trace
from condsim.routing.fit import fit_routing
from condsim.routing.generator import RoutingGenerator
from condsim.routing.named import routing

__all__ = ["RoutingGenerator", "drawn_trace", "fit_routing", "routing"]
