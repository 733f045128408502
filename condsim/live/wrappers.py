"""What people put around a model that runs the same module: compiled, parallel, adapted forms."""

from __future__ import annotations

import inspect

from torch import nn

COMPILED_FROM = "_orig_mod"
"""Where what torch.compile makes keeps the module that it was given."""
PARALLEL = (nn.DataParallel, nn.parallel.DistributedDataParallel)
"""Wrappers that run copies of a module on parts of a batch; condsim runs the module itself."""


def unwrapped(model: nn.Module) -> nn.Module:
    """The module inside of what torch.compile and data parallelism made of it, or the model."""
    while True:
        if hasattr(model, COMPILED_FROM):
            model = getattr(model, COMPILED_FROM)
        elif isinstance(model, PARALLEL):
            model = model.module
        else:
            return model


def with_signature(model: nn.Module) -> nn.Module:
    """The module whose forward says which arguments the model takes.

    A wrapper that takes anything and has one part (as those of PEFT) hands its arguments on to it.
    """
    model = unwrapped(model)
    while takes_anything(model):
        parts = list(model.children())
        if len(parts) != 1 or isinstance(parts[0], (nn.ModuleList, nn.ModuleDict)):
            break
        model = unwrapped(parts[0])
    return model


def takes_anything(model: nn.Module) -> bool:
    """Whether a model's forward takes any number of arguments by position."""
    try:
        parameters = inspect.signature(model.forward).parameters.values()
    except (TypeError, ValueError):  # a forward that is not Python's has no signature
        return False
    return any(parameter.kind is inspect.Parameter.VAR_POSITIONAL for parameter in parameters)
