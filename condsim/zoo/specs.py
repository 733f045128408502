"""Specs: how a person names a model so that another process can build it again.

A spec is the name of a zoo model, or `file.py:function`, whose function returns (model, inputs) or
an Example. `SPEC:name=value` sets what trades quality for speed: the knob of a zoo model, or an
argument of the function.
"""

from __future__ import annotations

import importlib.util
import inspect
import math
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

import torch

from condsim.errors import CondsimError, unknown
from condsim.live.training import Training
from condsim.trace.spec import setting_in, without_setting
from condsim.zoo.base import KINDS
from condsim.zoo.example import Example
from condsim.zoo.loading import load


def load_spec(spec: str) -> Example:
    """The model that a spec names, with its inputs.

    Inputs are what the function gives: a tensor, a tuple, a dict of forward() arguments, or a list
    of such. An example made of (model, inputs) has no quality.
    Raises CondsimError for an unknown name, a file or function that is not there, and a function
    that returns something else.
    """
    whole, spec = spec, without_setting(spec)
    settings = settings_of(whole)
    path, colon, function = spec.rpartition(":")
    if colon and path.endswith(".py"):
        return call_function(spec, Path(path), function, settings)
    if spec.endswith(".py"):
        raise CondsimError(
            f"spec {spec!r} names no function; write {spec}:FUNCTION, which returns (model, inputs)"
        )
    known = [name for kinds in KINDS for name in kinds]
    if spec not in known:
        raise unknown("spec", spec, known, "or file.py:function that returns (model, inputs)")
    return load(spec, settings=settings)


def settings_of(spec: str) -> dict[str, float]:
    """What a spec sets: `{"threshold": 0.8}` of "exit-fashion:threshold=0.8", else nothing.

    Raises CondsimError for what is no finite number.
    """
    found = setting_in(spec)
    if found is None:
        return {}
    name, text = found
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not name.isidentifier() or not math.isfinite(value):
        raise CondsimError(f"spec {spec!r}: a setting is name=number, got {name}={text}")
    return {name: value}


def call_function(
    spec: str, path: Path, function: str, settings: Mapping[str, float] | None = None
) -> Example:
    """What a function of a file makes. spec: the file and the function, for errors.

    settings: arguments of the function; a whole number is passed as an int.
    """
    module = run_file(path)
    make = getattr(module, function, None)
    if not callable(make):
        known = ", ".join(functions_of(module)) or "none"
        raise CondsimError(f"{path} has no function {function!r}; it has: {known}")
    arguments = {}
    for name, value in (settings or {}).items():
        if name not in inspect.signature(make).parameters:
            raise CondsimError(f"spec {spec!r}: {function}() takes no argument {name!r}")
        arguments[name] = int(value) if value.is_integer() else value
    return as_example(make(**arguments), spec, function)


def run_file(path: Path) -> ModuleType:
    """A file run as a module; what lies beside it can be imported."""
    if not path.is_file():
        raise CondsimError(f"spec: there is no file {path}")
    location = importlib.util.spec_from_file_location(f"condsim_spec_{path.stem}", path)
    assert location is not None
    assert location.loader is not None
    module = importlib.util.module_from_spec(location)
    sys.modules[module.__name__] = module
    folder = str(path.resolve().parent)
    if folder not in sys.path:
        sys.path.append(folder)
    try:
        location.loader.exec_module(module)
    except (ImportError, SyntaxError) as error:
        problem = type(error).__name__
        raise CondsimError(f"{path} cannot be imported: {problem}: {error}") from error
    return module


def functions_of(module: ModuleType) -> list[str]:
    """Names of what can be called and was written in a module."""
    names: list[str] = []
    for name, value in vars(module).items():
        if callable(value) and getattr(value, "__module__", "") == module.__name__:
            names.append(name)
    return names


def as_example(made: object, spec: str, function: str) -> Example:
    """What a function returned as an example. Raises CondsimError for anything else."""
    if isinstance(made, Example):
        return made
    if isinstance(made, tuple):
        if len(made) == 2 and isinstance(made[0], torch.nn.Module):
            model, inputs = made
            return Example(function, "", model, inputs)
        if (
            len(made) == 3
            and isinstance(made[0], torch.nn.Module)
            and isinstance(made[2], Training)
        ):
            model, inputs, training = made
            return Example(function, "", model, inputs, training=training)
        got = f"a tuple of {', '.join(type(part).__name__ for part in made)}"
    else:
        got = type(made).__name__
    raise CondsimError(
        f"spec {spec!r}: {function}() must return (torch.nn.Module, inputs), the same with a "
        f"condsim.Training, or an Example, got {got}"
    )
