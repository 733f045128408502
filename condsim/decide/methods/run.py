"""Train a zoo model by a method, and watch how it routes on the way."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from rich.progress import Progress

from condsim.capture.history import RoutingHistory
from condsim.decide.methods.kept import Trainings
from condsim.errors import CondsimError
from condsim.study.routing import loads_over_training
from condsim.zoo.base import kind_of
from condsim.zoo.example import Example
from condsim.zoo.loading import image_example, text_example
from condsim.zoo.methods.base import METHODS, TrainingMethod
from condsim.zoo.rivals import quality_of
from condsim.zoo.training import minimise

MOMENTS = 12
"""At which the routing is watched, the first before any step and the last after all."""
WATCHED_BATCH = 256
"""Images that are watched; of texts, sequences of a quarter of them."""
JUDGED_BATCHES = 8


@dataclass(frozen=True)
class TrainedBy:
    """What came of a method.

    loads: a row a site, moment and branch (`condsim.study.routing.loads_over_training`).
    quality: a row of `Trainings.quality`.
    """

    loads: pd.DataFrame
    quality: dict[str, Any]


def train_by(name: str, steps: int | None = None, seed: int = 0) -> TrainedBy:
    """Train by the method `name` from scratch; the caller's random numbers are left as they were.

    steps: None for the method's. seed: of everything random. Raises CondsimError for an unknown
    name, and for less than one step.
    """
    kind = METHODS[name]
    steps = kind.steps if steps is None else steps
    if steps < 1:
        raise CondsimError(f"steps must be at least 1, got {steps}")
    began = time.perf_counter()
    with Progress() as progress, torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        method = kind()
        watch = _Watch(method, steps)
        minimise(method.parameters(), watch.loss, steps, progress, name)
        watch.now(steps)
    took_s = time.perf_counter() - began
    example = held_out(kind.model, method.in_use().eval())
    quality = {
        "method": name,
        "model": kind.model,
        "steps": steps,
        "seed": seed,
        "seconds": round(took_s),
        "quality": float(np.mean(quality_of(example.model, example))),
        "quality_name": example.quality_name,
        "about": kind.about,
        "source": kind.source,
    }
    return TrainedBy(watch.loads().assign(method=name), quality)


def train_all(names: Iterable[str], steps: int | None = None, seed: int = 0) -> Trainings:
    """Train by each of some methods, one after the other; arguments as of `train_by`."""
    done = [train_by(name, steps, seed) for name in names]
    loads = pd.concat([each.loads for each in done], ignore_index=True)
    columns = ["method", "site", "trained", "branch", "share"]
    return Trainings(pd.DataFrame([each.quality for each in done]), loads[columns])


def held_out(name: str, model: torch.nn.Module) -> Example:
    """Inputs that a zoo model has not seen, in batches that are watched and judged."""
    kind = kind_of(name)
    if kind.data == "text":
        batch = WATCHED_BATCH // 4
        return text_example(name, model, batch, JUDGED_BATCHES, kind.seq)  # type: ignore[arg-type]
    return image_example(name, model, WATCHED_BATCH, JUDGED_BATCHES)  # type: ignore[arg-type]


class _Watch:
    """Watches the routing of a model in use at `MOMENTS` of its training."""

    def __init__(self, method: TrainingMethod, steps: int) -> None:
        self.method, self.steps = method, steps
        moments = np.linspace(0, steps, MOMENTS).round().astype(int)
        self.moments = set(moments.tolist())
        model = method.in_use()
        inputs = held_out(method.model, model).inputs[0]
        self.history = RoutingHistory(model, inputs)

    def loss(self, step: int) -> torch.Tensor:
        """The method's loss, after a look at the routing where it is time."""
        if step in self.moments:
            self.now(step)
        return self.method.loss(step, self.steps)

    def now(self, step: int) -> None:
        """Look at the routing after so many steps."""
        self.history.model = self.method.in_use()
        self.history.watch(step)

    def loads(self) -> pd.DataFrame:
        """What was seen."""
        return loads_over_training(self.history.trace())
