"""Training steps of the gates' models: recorded, and given by programs for the same decisions."""

from __future__ import annotations

import functools
import itertools
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F

import condsim
from condsim.capture.observe import observe
from condsim.capture.probe import execution_for, rows_per_site
from condsim.live.inputs import Batch, as_batches
from condsim.live.model import LiveModel
from condsim.live.train_step import record_step
from condsim.program.regime import Regime
from condsim.strategies import name_of
from condsim.trace import Trace
from gates.harness import UNSEEN_SEQUENCES, UNSEEN_UNITS, Pair, pair, step_rows
from gates.models import case

RUNS = (2, 4)
"""Numbers of runs, which vary the random decisions."""


def mean_square(output: Any) -> torch.Tensor:
    """A loss of anything that gives logits."""
    logits = output if isinstance(output, torch.Tensor) else output.logits
    return F.mse_loss(logits, torch.zeros_like(logits))


@dataclass(frozen=True)
class Trained:
    """A model in training with its sites, the batch it is captured with, and its trace."""

    name: str
    live: LiveModel
    batch: Batch
    trace: Trace

    def pairs(self, strategy: str) -> list[Pair]:
        """Random decisions at sizes that nothing was fitted to."""
        pairs = []
        for single, run in itertools.product((True, False), RUNS):
            pairs.append(self._pair(strategy, single, run))
        return pairs

    def _pair(self, strategy: str, single: bool, run: int) -> Pair:
        units, seq = UNSEEN_UNITS[single], None
        if self.batch.seq is not None:
            units, seq = UNSEEN_SEQUENCES[single]
        assignment = self.assignments[strategy]
        unit_rows = {site.name: site.unit_rows for site in self.trace.sites}
        rows = rows_per_site(self.live.infos, unit_rows, units, seq)
        costliest = dict(self.trace.header.costliest)
        execution = execution_for(assignment, self.live.infos, rows, 1000 + run, costliest)
        execution.room = None
        recorder = record_step(self.live, self.batch.resized(units, seq), execution)
        one = step_rows(self.trace, execution, units, seq or 1, seq or 1)
        regime = Regime("train", single)
        return pair(self.name, assignment, one, recorder, regime, self.trace)

    @functools.cached_property
    def assignments(self) -> dict[str, dict[str, str]]:
        """Every way to run the model, by name."""
        return {name_of(assignment): assignment for assignment in self.live.assignments()}


@functools.cache
def trained(name: str, optimizer: Any = torch.optim.AdamW) -> Trained:
    """One of the gates' models in training."""
    training = condsim.Training(mean_square, optimizer)
    model, inputs = case(name).model, case(name).inputs
    trace = condsim.capture(model, inputs, train=training, measure=False)
    live = LiveModel.of(model, training)
    live.model.train()
    batch = as_batches(inputs)[0]
    with torch.random.fork_rng(devices=[]):
        observe(live, [batch])
    return Trained(name, live, batch, trace)
