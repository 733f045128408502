"""The suite's models in training. A name is also a spec, `benchmarks/suite/trained.py:NAME`.

A model of the zoo has its own loss. A model of transformers gets its tokens as labels. Any other
model is trained to make the mean square of its output smaller. All use AdamW.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from platformdirs import user_cache_dir

import condsim
from benchmarks.suite import models
from benchmarks.suite.captured import kept
from condsim.live.training import Training
from condsim.trace import Trace
from condsim.zoo.example import Example

LIST = Path(__file__).with_name("training.csv")
BATCHES = 4
"""How many batches of the inputs are kept: a training step is long, and few of them are enough."""


@dataclass(frozen=True)
class Case:
    """One line of the list. batch: images or sequences a step."""

    model: str
    batch: int
    strategy: str


def read() -> list[Case]:
    """Read the list, in its order."""
    with LIST.open() as lines:
        rows = list(csv.DictReader(lines))
    return [Case(row["model"], int(row["batch"]), row["strategy"]) for row in rows]


def mean_square(output: torch.Tensor) -> torch.Tensor:
    """Return the mean square of an output, which is a loss for anything."""
    return output.square().mean()


def build(name: str) -> Example:
    """Build the model that a name says, with its inputs and its loss.

    Raises CondsimError for a name that says nothing.
    """
    example = models.build(name)
    inputs = example.inputs[:BATCHES]
    training = example.training or Training(mean_square)
    if isinstance(training.targets, list):
        training = replace(training, targets=training.targets[:BATCHES])
    if isinstance(inputs[0], dict):
        inputs = [{**batch, "labels": batch["input_ids"]} for batch in inputs]
        training = Training()
    return replace(example, inputs=inputs, training=training)


def __getattr__(name: str) -> Callable[[], Example]:
    if name.startswith("__"):
        raise AttributeError(name)
    return lambda: build(name)


def place(model: str) -> Path:
    """Return the folder that keeps the trace of a model in training."""
    return Path(user_cache_dir("condsim")) / "suite-training" / model


def captured(model: str) -> Trace:
    """Return the trace of a model in training, kept in the user's cache."""
    return kept(place(model), model, _capture)


def _capture(model: str) -> Trace:
    example = build(model)
    return condsim.capture(
        example.model,
        example.inputs,
        measure=False,
        name=model,
        spec=f"{Path(__file__).resolve()}:{model}",
        train=example.training,
    )


if __name__ == "__main__":
    for case_model in sys.argv[1:] or dict.fromkeys(case.model for case in read()):
        captured(case_model)
