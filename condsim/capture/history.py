"""The routing of a model while it is trained, as one trace: the same inputs, watched at times."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pandas as pd
import torch

from condsim.capture.capture_trace import capture_trace
from condsim.capture.header import Labels
from condsim.capture.observe import Observation, observe
from condsim.capture.sizes import settle
from condsim.errors import CondsimError
from condsim.live.inputs import as_batches, with_targets
from condsim.live.model import LiveModel
from condsim.live.training import Training, unchanged
from condsim.trace import Trace
from condsim.trace.columns import TRAINED
from condsim.trace.encoding import in_memory


class RoutingHistory:
    """Watches how a model routes the same inputs as its training goes on.

        history = condsim.RoutingHistory(model, inputs)
        for step in range(10_000):
            ...  # a training step of your own
            if step % 100 == 0:
                history.watch(step)
        trace = history.trace()

    model: which the loop trains, or that checkpoints are loaded into.
    inputs: as `condsim.capture` takes them.
    train: how a step of the model runs; its steps are then those of a training. None: forwards.
    """

    def __init__(self, model: torch.nn.Module, inputs: Any, train: Training | None = None) -> None:
        self.model = model
        self.train = train
        self._batches = as_batches(inputs)
        if train is not None:
            self._batches = with_targets(self._batches, train.targets)
        self._seen = Observation()
        self._watched: list[int] = []

    def watch(self, step: int) -> None:
        """Run the inputs once and keep what the model decides. Nothing of the model is changed.

        step: how many training steps it has had. Raises CondsimError for a step that does not come
        after the last one, and where the model has no routing.
        """
        if step < 0 or (self._watched and step <= self._watched[-1]):
            last = f"after {self._watched[-1]}" if self._watched else "at least 0"
            raise CondsimError(f"history: the number of training steps must be {last}, got {step}")
        with self._live() as live:
            batches, sizes = settle(live, self._batches)
            seen = observe(live, batches, unit_rows=sizes.unit_rows)
        for site, decisions in seen.decisions.items():
            self._seen.decisions.setdefault(site, []).extend(decisions)
        self._watched.append(step)

    def trace(self, name: str | None = None) -> Trace:
        """The trace of all that was watched; its programs are those of the model as it is now.

        Its table of steps has one more column, trained: how many training steps the model had.
        Raises CondsimError where nothing was watched, or the model cannot be captured.
        """
        if not self._watched:
            raise CondsimError("history: nothing was watched yet; call watch(step) in the loop")
        labels = Labels(name or type(self.model).__name__)
        with self._live() as live:
            trace = capture_trace(live, self._batches, labels)
        steps = [trace.steps.assign(**{TRAINED: step}) for step in self._watched]
        return replace(
            trace,
            steps=pd.concat(steps, ignore_index=True),
            reader=in_memory(self._seen.joined()),
            quality=pd.DataFrame(),
        )

    @contextlib.contextmanager
    def _live(self) -> Iterator[LiveModel]:
        """The model as it is now, in its mode; afterwards everything of it is as it was."""
        with unchanged(self.model):
            self.model.train(self.train is not None)
            yield LiveModel.of(self.model, self.train)
