"""Traces of the suite's models.

They are the same on every run, so each is captured once and kept in the user's cache.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from platformdirs import user_cache_dir

import condsim
from benchmarks.suite import models, outside
from condsim.errors import CondsimError
from condsim.trace import Trace
from condsim.zoo.specs import load_spec

NEW_TOKENS = 3
"""How many greedy decode steps, with a cache, follow each batch of a decoder of transformers."""


def place(model: str) -> Path:
    """Return the folder that keeps a model's trace."""
    return Path(user_cache_dir("condsim")) / "suite" / model


def kept(folder: Path, model: str, capture: Callable[[str], Trace]) -> Trace:
    """Return the trace in a folder, captured now if the folder has none of today's format."""
    try:
        return condsim.load(folder)
    except CondsimError:
        pass
    print(f"capturing {model}", file=sys.stderr, flush=True)
    trace = capture(model)
    shutil.rmtree(folder, ignore_errors=True)  # one of an older format is no trace any more
    trace.save(folder)
    return trace


def captured(model: str) -> Trace:
    """Return the trace of a model, kept in the user's cache."""
    return kept(place(model), model, _capture)


def _capture(model: str) -> Trace:
    of_list = outside if model.split("-")[0] in outside.FAMILIES else models
    spec = f"{Path(of_list.__file__).resolve()}:{model}"
    example = load_spec(spec)
    new_tokens = NEW_TOKENS if models.decodes(model, of_list.FAMILIES) else 0
    return condsim.capture(
        example.model, example.inputs, measure=False, new_tokens=new_tokens, name=model, spec=spec
    )


if __name__ == "__main__":
    for name in sys.argv[1:]:
        captured(name)
