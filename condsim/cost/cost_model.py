"""The model of each class of device: the one place that chooses how operators are priced."""

from __future__ import annotations

import importlib
import pkgutil

import condsim.cost
from condsim.cost.device import DEVICE_MODELS, DeviceModel, Target
from condsim.errors import CondsimError

for _package in pkgutil.iter_modules(condsim.cost.__path__):
    if _package.ispkg:
        importlib.import_module(f"condsim.cost.{_package.name}.device")


def device_model(target: Target) -> DeviceModel:
    """Return the model that serves a target. Raises CondsimError where not just one does."""
    serving = [model for model in DEVICE_MODELS.values() if model.serves(target)]
    kind, runtime = target.profile.kind, target.runtime.name
    if not serving:
        raise CondsimError(f"no device model serves a {kind} under the runtime {runtime!r}")
    if len(serving) > 1:
        names = " and ".join(model.__name__ for model in serving)
        raise CondsimError(f"{names} both serve a {kind} under the runtime {runtime!r}")
    return serving[0](target)
