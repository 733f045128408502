"""Traces of the suite's models: the same on every run, so they are captured once and kept in the user's cache."""

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
"""Greedy cached decode steps after each batch, of transformers' decoders."""


def place(model: str) -> Path:
    """Where a model's trace is kept."""
    return Path(user_cache_dir("condsim")) / "suite" / model


def kept(folder: Path, model: str, capture: Callable[[str], Trace]) -> Trace:
    """The trace in a folder; captured now if there is none, or none of today's format."""
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
    """The trace of a model, kept in the user's cache."""
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
