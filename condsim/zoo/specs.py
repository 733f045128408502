"""Specs: how a person names a model so that another process can build it again.

A spec is the name of a zoo model, or `file.py:function`, whose function returns (model, inputs) or an Example.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from condsim.errors import CondsimError, unknown

if TYPE_CHECKING:
    from condsim.zoo.example import Example


def load_spec(spec: str) -> Example:
    """The model that a spec names, with its inputs.

    Inputs are what the function gives: a tensor, a tuple, a dict of forward() arguments, or a list of such. An example made of (model, inputs) has no
    quality.
    Raises CondsimError for an unknown name, a file or function that is not there, and a function that returns something else.
    """
    path, colon, function = spec.rpartition(":")
    if not colon or not path.endswith(".py"):
        if spec.endswith(".py"):
            raise CondsimError(
                f"spec {spec!r} names no function; write {spec}:FUNCTION, which returns (model, inputs)"
            )
        from condsim.zoo import ZOO, load

        if spec not in ZOO:
            raise unknown("spec", spec, ZOO, "or file.py:function that returns (model, inputs)")
        return load(spec)
    module = _module(Path(path))
    make = getattr(module, function, None)
    if not callable(make):
        there = (
            ", ".join(
                n
                for n, v in vars(module).items()
                if callable(v) and getattr(v, "__module__", "") == module.__name__
            )
            or "none"
        )
        raise CondsimError(f"{path} has no function {function!r}; it has: {there}")
    return _example(make(), spec, function)


def _module(path: Path) -> ModuleType:
    """A file run as a module; what lies beside it can be imported."""
    if not path.is_file():
        raise CondsimError(f"spec: there is no file {path}")
    found = importlib.util.spec_from_file_location(f"condsim_spec_{path.stem}", path)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    sys.modules[module.__name__] = module
    folder = str(path.resolve().parent)
    if folder not in sys.path:
        sys.path.append(folder)
    try:
        found.loader.exec_module(module)
    except (ImportError, SyntaxError) as e:
        raise CondsimError(f"{path} cannot be imported: {type(e).__name__}: {e}") from e
    return module


def _example(made: Any, spec: str, function: str) -> Example:
    import torch

    from condsim.zoo.example import Example

    if isinstance(made, Example):
        return made
    if not (isinstance(made, tuple) and len(made) == 2 and isinstance(made[0], torch.nn.Module)):
        got = (
            f"a tuple of {', '.join(type(m).__name__ for m in made)}"
            if isinstance(made, tuple)
            else type(made).__name__
        )
        raise CondsimError(
            f"spec {spec!r}: {function}() must return (torch.nn.Module, inputs) or an Example, got {got}"
        )
    return Example(function, "", made[0], made[1])
