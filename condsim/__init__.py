"""condsim: does conditional computation pay on a device, and where does the saving go?

The public names. docs/how-it-works.md says which package does what, and where to add something.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from condsim.api import Training as Training
    from condsim.api import calibrate as calibrate
    from condsim.api import capture as capture
    from condsim.capture.history import RoutingHistory as RoutingHistory
    from condsim.decide.advise.advise import advise as advise
    from condsim.decide.coverage.coverage import coverage as coverage
    from condsim.decide.drift.drift import drift as drift
    from condsim.decide.frontier.frontier import frontier as frontier
    from condsim.decide.speculation.speculate import speculate as speculate
    from condsim.decide.sweep.run import sweep as sweep
    from condsim.errors import CondsimError as CondsimError
    from condsim.hardware import hardware as hardware
    from condsim.importers import ModelShape as ModelShape
    from condsim.importers import import_routing as import_routing
    from condsim.live.force import force as force
    from condsim.live.marks import branch as branch
    from condsim.live.marks import route as route
    from condsim.live.marks import tokens as tokens
    from condsim.live.masks import MaskHistory as MaskHistory
    from condsim.parallel import Parallel as Parallel
    from condsim.predict.simulate import simulate as simulate
    from condsim.predict.simulate import simulate_many as simulate_many
    from condsim.routing import RoutingGenerator as RoutingGenerator
    from condsim.routing import fit_routing as fit_routing
    from condsim.routing import routing as routing
    from condsim.scenario import Scenario as Scenario
    from condsim.serve.serve import serve as serve
    from condsim.study.compare import compare as compare
    from condsim.trace.read import load as load

__version__ = "0.1.0"

_PUBLIC = {
    "capture": "condsim.api",
    "load": "condsim.trace.read",
    "route": "condsim.live.marks",
    "branch": "condsim.live.marks",
    "tokens": "condsim.live.marks",
    "force": "condsim.live.force",
    "import_routing": "condsim.importers",
    "ModelShape": "condsim.importers",
    "routing": "condsim.routing",
    "fit_routing": "condsim.routing",
    "RoutingGenerator": "condsim.routing",
    "hardware": "condsim.hardware",
    "calibrate": "condsim.api",
    "Training": "condsim.live.training",
    "RoutingHistory": "condsim.capture.history",
    "MaskHistory": "condsim.live.masks",
    "simulate": "condsim.predict.simulate",
    "simulate_many": "condsim.predict.simulate",
    "Scenario": "condsim.scenario",
    "Parallel": "condsim.parallel",
    "compare": "condsim.study.compare",
    "serve": "condsim.serve.serve",
    "advise": "condsim.decide.advise.advise",
    "sweep": "condsim.decide.sweep.run",
    "coverage": "condsim.decide.coverage.coverage",
    "drift": "condsim.decide.drift.drift",
    "speculate": "condsim.decide.speculation.speculate",
    "frontier": "condsim.decide.frontier.frontier",
    "CondsimError": "condsim.errors",
}
__all__ = sorted(_PUBLIC)


class _Package(ModuleType):
    """Keeps `condsim.capture` the function when the module of the same name is imported."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _PUBLIC and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(
            f"module 'condsim' has no attribute {name!r}; it has {', '.join(__all__)}"
        )
    value = getattr(importlib.import_module(_PUBLIC[name]), name)
    globals()[name] = value
    return value
