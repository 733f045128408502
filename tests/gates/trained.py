"""Training steps of small models: recorded, and given by programs for the same decisions."""

from __future__ import annotations

import copy
import functools
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

import condsim
from condsim.capture.observe import observe
from condsim.capture.probe import Prober, execution_for, key, rows_per_site
from condsim.capture.sizes import Sizes, learn_sizes
from condsim.live.inputs import Batch, as_batches
from condsim.live.model import LiveModel
from condsim.live.train_step import record_step
from condsim.live.training import Training
from condsim.lower import lower
from condsim.lowered import Call
from condsim.mechanisms import MECHANISMS
from condsim.program import Program
from condsim.program.accumulation import accumulated
from condsim.program.regime import TRAIN, Regime
from condsim.record.nest import tree
from condsim.record.recorder import Recorder
from condsim.steps.extents import SiteRule, Steps
from condsim.strategies import name_of
from gates.harness import UNSEEN_SEQUENCES, UNSEEN_UNITS, flat
from gates.models import SMALL, case

RUNS = (2, 4)
"""Numbers of runs, which vary the random decisions."""


def mean_square(output: Any) -> torch.Tensor:
    """A loss of anything that gives logits."""
    logits = output if isinstance(output, torch.Tensor) else output.logits
    return F.mse_loss(logits, torch.zeros_like(logits))


def small_mixture() -> tuple[nn.Module, Any]:
    """A Mixtral of one layer, and tokens."""
    from transformers import MixtralConfig, MixtralForCausalLM

    sizes = {**SMALL, "num_hidden_layers": 1, "num_key_value_heads": 2}
    config = MixtralConfig(
        **sizes, intermediate_size=48, num_local_experts=6, num_experts_per_tok=2
    )
    return MixtralForCausalLM(config), {"input_ids": torch.randint(0, 64, (4, 10))}


class SkipsInARow(nn.Module):
    """Units [batch, 30, 12] → [batch, 5]: three blocks, each of which a gate may skip.

    What lives is mostly what blocks read and make: their weights are small.
    """

    def __init__(self) -> None:
        super().__init__()
        self.gates = nn.ModuleList(nn.Linear(12, 1) for _ in range(3))
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Linear(12, 12), nn.ReLU(), nn.Linear(12, 12)) for _ in range(3)
        )
        self.stem, self.head = nn.Linear(12, 12), nn.Linear(12, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        for number, (gate, block) in enumerate(zip(self.gates, self.blocks, strict=True)):
            decided = (gate(x.mean(1)).squeeze(-1) > 0).long()
            condsim.route(f"gate{number}", "skip", decided, branches=2)
            rows: Any
            with condsim.branch(f"gate{number}", 1) as rows:
                if rows:
                    x = rows.put(x, block(rows.take(x)))
        logits: torch.Tensor = self.head(x.mean(1))
        return logits


def skips_in_a_row() -> tuple[nn.Module, Any]:
    """Blocks that gates may skip, and units."""
    return SkipsInARow(), torch.randn(8, 30, 12)


@dataclass(frozen=True)
class Trained:
    """A model in training with its sites, and the batch that it is probed with."""

    live: LiveModel
    batch: Batch
    sizes: Sizes

    @functools.cached_property
    def assignments(self) -> dict[str, dict[str, str]]:
        """Every way to run the model, by name."""
        return {name_of(assignment): assignment for assignment in self.live.assignments()}

    def program(self, strategy: str, single: bool) -> Program:
        """What probing gives."""
        assignment = self.assignments[strategy]
        prober = Prober(self.live, self.batch, self.sizes, costliest=self.costliest)
        return prober.program(assignment, Regime(TRAIN, single), {})

    @property
    def costliest(self) -> dict[str, int]:
        """The branch that every row takes where one of several is taken."""
        several = [
            name
            for name, info in self.live.infos.items()
            if MECHANISMS[info.mechanism].one_of_several
        ]
        return dict.fromkeys(several, 1)

    def steps(self, strategy: str, single: bool) -> list[Step]:
        """Random decisions at a size that nothing was fitted to."""
        program = self.program(strategy, single)
        return [self.step(strategy, single, program, 1000 + run) for run in RUNS]

    def step(self, strategy: str, single: bool, program: Program, run: int) -> Step:
        """One of them. run: varies the decisions."""
        units, seq = UNSEEN_UNITS[single], None
        if self.batch.seq is not None:
            units, seq = UNSEEN_SEQUENCES[single]
        assignment = self.assignments[strategy]
        rows = rows_per_site(self.live.infos, self.sizes.unit_rows, units, seq)
        execution = execution_for(assignment, self.live.infos, rows, run, self.costliest)
        execution.room = None
        recorder = record_step(self.live, self.batch.resized(units, seq), execution)
        program = accumulated(program, self.live.micro_batches)
        extents = {"batch": units, "seq": seq or 1, "total": seq or 1}
        counts = {name: self._counts(name, execution.forced or {}) for name in self.live.infos}
        kept = {name: branches[None] for name, branches in execution.rows_kept.items()}
        columns = {name: torch.tensor([size]).numpy() for name, size in extents.items()}
        one = Steps(columns, counts, kept, self.costliest)
        calls = lower(program, self._rules(), assignment, one).sequence()
        return Step(key(assignment, Regime(TRAIN, single)), recorder, program, calls)

    def _counts(self, site: str, forced: Any) -> Any:
        info = self.live.infos[site]
        ids = torch.as_tensor(forced[site])
        arrives = torch.ones(len(ids), dtype=torch.bool)
        for parent, choice in info.parents:
            arrives &= torch.as_tensor(forced[parent]) == choice
        taken = torch.bincount(ids[arrives].reshape(-1), minlength=info.branches)
        return taken[None].numpy()

    def _rules(self) -> dict[str, SiteRule]:
        rules = {}
        for name, info in self.live.infos.items():
            mechanism = MECHANISMS[info.mechanism]
            rows = self.sizes.unit_rows[name]
            rules[name] = SiteRule(name, mechanism, info.branches, rows, info.top_k or 1)
        return rules


@dataclass(frozen=True)
class Step:
    """One step twice: as recorded and as the program gives it."""

    what: str
    recorder: Recorder
    program: Program
    calls: list[Call]

    def assert_same_order(self) -> None:
        """Operator by operator, with zero tolerance."""
        recorded = flat(tree(self.recorder, dict(self.program.periods)))
        lowered = [call.signature() for call in self.calls]
        for place, (of_run, of_program) in enumerate(itertools.zip_longest(recorded, lowered)):
            assert of_run == of_program, (
                f"{self.what}: operator {place} was recorded as {of_run}, the program gives "
                f"{of_program}"
            )


MODELS: dict[str, Callable[[], tuple[nn.Module, Any]]] = {
    "mixture": small_mixture,
    "skips-in-a-row": skips_in_a_row,
}


@functools.cache
def trained(name: str, optimizer: Any = torch.optim.AdamW, accumulate: int = 1) -> Trained:
    """A small model in training: one of MODELS, or of the gates' models."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        if name in MODELS:
            model, inputs = MODELS[name]()
        else:
            model, inputs = copy.deepcopy(case(name).model), case(name).inputs[0]
        training = Training(mean_square, optimizer, accumulate=accumulate)
        live = LiveModel.of(model, training)
        live.model.train()
        batch = as_batches(inputs)[0]
        sizes = learn_sizes(live, batch)
        if sizes.lengths is None:
            batch = batch.without_positions()
        observe(live, [batch], unit_rows=sizes.unit_rows)
    return Trained(live, batch, sizes)
