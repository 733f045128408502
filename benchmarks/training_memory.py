"""Peak memory of a training step: predicted, as PyTorch's allocator reports it, and as rivals
say.

    python -m benchmarks.training_memory [--json]

Mixtrals with random weights are captured in training, on inputs whose sizes and routing no program
is fitted to. Measured is the largest sum of the `[memory]` events of torch.profiler over a third
step, above what lives all the time; it comes from the allocator and knows nothing of the recorder.

Rivals, in the same run: MemTracker of torch.distributed._tools, which watches a real step; the
dense model of all experts, as estimators price a mixture; that one times the share of active
parameters.

Target: grouped, batched and dense to the byte, looped within 0.5 %. About three minutes.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

import condsim
from condsim.live.execution import Execution
from condsim.live.inputs import as_batches
from condsim.live.model import LiveModel

LIBRARY = {"looped": "eager", "grouped": "grouped_mm", "batched": "batched_mm"}
"""Strategy → what transformers calls it."""
TARGETS = {"looped": 0.005}
"""Strategy → how far off it may be; nothing for all others."""
DEVICE = "raspberry-pi-5"
"""Of a device only the bytes of an element matter here."""


@dataclass(frozen=True)
class Config:
    """A Mixtral, and the size of its step. fused: AdamW updates all weights in one call."""

    hidden: int
    intermediate: int
    layers: int
    experts: int
    top_k: int
    vocabulary: int
    batch: int
    sequence: int
    fused: bool = False

    def model(self) -> nn.Module:
        """The model, with random weights of seed 0."""
        from transformers import MixtralConfig, MixtralForCausalLM

        torch.manual_seed(0)
        config = MixtralConfig(
            hidden_size=self.hidden,
            intermediate_size=self.intermediate,
            num_hidden_layers=self.layers,
            num_attention_heads=4,
            num_key_value_heads=2,
            num_local_experts=self.experts,
            num_experts_per_tok=self.top_k,
            vocab_size=self.vocabulary,
        )
        return MixtralForCausalLM(config)

    def tokens(self) -> torch.Tensor:
        """Random ids [batch, sequence]."""
        generator = torch.Generator().manual_seed(1)
        size = (self.batch, self.sequence)
        return torch.randint(self.vocabulary, size, generator=generator)

    def optimizer(self, weights: Any) -> torch.optim.Optimizer:
        """AdamW that moves nothing, so that routing repeats."""
        return torch.optim.AdamW(weights, lr=0.0, fused=self.fused)

    @property
    def active_share(self) -> float:
        """The share of its parameters that a token uses."""
        expert = 3 * self.hidden * self.intermediate * self.layers
        everything = sum(weight.numel() for weight in self.model().parameters())
        return (everything - (self.experts - self.top_k) * expert) / everything


CONFIGS = (
    Config(96, 192, 2, 8, 2, 256, 4, 128),
    Config(64, 256, 2, 16, 4, 512, 8, 32, fused=True),
    Config(128, 128, 1, 32, 2, 300, 2, 48),
)

Step = Callable[[], None]


def step_of(model: nn.Module, optimizer: torch.optim.Optimizer, ids: torch.Tensor) -> Step:
    """A training step as a usual loop runs it."""

    def step() -> None:
        model(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def allocated_peak(step: Step) -> int:
    """Bytes at the peak of a third step, above what lives all the time."""
    step()
    step()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        step()
    alive = peak = 0
    for event in profiler.profiler.kineto_results.events():  # type: ignore[union-attr]
        if event.name() == "[memory]":
            alive += event.nbytes()
            peak = max(peak, alive)
    assert alive == 0, f"{alive} bytes of the step live on"
    return peak


def tracked_peak(model: nn.Module, optimizer: torch.optim.Optimizer, step: Step) -> int:
    """The same by MemTracker, of which what lives all the time is taken off."""
    from torch.distributed._tools.mem_tracker import MemTracker

    step()
    tracker = MemTracker()  # type: ignore[no-untyped-call]
    tracker.track_external(model, optimizer)
    with tracker:
        step()
    (snapshot,) = tracker.get_tracker_snapshot("peak").values()
    whole = next(size for name, size in snapshot.items() if str(name).endswith("Total"))
    return int(whole) - resident(model, optimizer)


def resident(model: nn.Module, optimizer: torch.optim.Optimizer) -> int:
    """Bytes of weights, buffers and the optimizer's state."""
    state = [value for kept in optimizer.state.values() for value in kept.values()]
    tensors = [*model.parameters(), *model.buffers(), *state]
    return sum(value.nbytes for value in tensors if isinstance(value, torch.Tensor))


def dense_peak(config: Config, model: nn.Module, ids: torch.Tensor) -> int:
    """What the allocator reports of the dense model of all experts, run without a recorder."""
    training = condsim.Training(optimizer=config.optimizer)
    live = LiveModel.of(model, training)
    inputs = {"input_ids": ids, "labels": ids}
    live.run(as_batches(inputs)[0])
    execution = Execution({"*": "same-params"})
    with torch.no_grad():
        for site in live.sites:
            site.prepare(execution)
    made = [tensor for site in live.sites for tensor in site.made_tensors().values()]
    for tensor in made:
        tensor.requires_grad_(True)
    optimizer = config.optimizer([*model.parameters(), *made])
    with live.installed(execution):
        return allocated_peak(step_of(model, optimizer, ids))


def rows_of(number: int, config: Config) -> list[dict[str, Any]]:
    """A row a strategy, and one for the dense model."""
    model, ids = config.model(), config.tokens()
    model.set_experts_implementation("grouped_mm")  # type: ignore[operator]
    training = condsim.Training(optimizer=config.optimizer)
    inputs = {"input_ids": ids, "labels": ids}
    trace = condsim.capture(model, inputs, train=training, measure=False)
    model.train()
    rows = []
    dense = 0
    for strategy, name in LIBRARY.items():
        prediction = condsim.simulate(trace, DEVICE, strategy)
        peak, of_dense = (memory.training for memory in prediction.memories)
        assert peak is not None
        assert of_dense is not None
        dense = of_dense.alive_bytes
        model.set_experts_implementation(name)  # type: ignore[operator]
        optimizer = config.optimizer(model.parameters())
        step = step_of(model, optimizer, ids)
        rows.append(
            {
                "config": number,
                "side": strategy,
                "measured": allocated_peak(step),
                "predicted": peak.alive_bytes,
                "memtracker": tracked_peak(model, optimizer, step),
                "as dense": dense,
                "active share": int(dense * config.active_share),
                "peak in": str(peak.place),
            }
        )
    measured = dense_peak(config, model, ids)
    rows.append({"config": number, "side": "dense", "measured": measured, "predicted": dense})
    return rows


def table() -> pd.DataFrame:
    """All configurations, with errors over what was measured."""
    rows = []
    for number, config in enumerate(CONFIGS):
        rows += rows_of(number, config)
    found = pd.DataFrame(rows)
    for column in ("predicted", "memtracker", "as dense", "active share"):
        found[f"{column} error"] = found[column] / found["measured"] - 1
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = table()
    bars = found["side"].map(TARGETS).fillna(0.0)
    found["met"] = found["predicted error"].abs() <= bars
    if options.json:
        print(json.dumps(found.to_dict(orient="records"), indent=1))
        return
    with pd.option_context("display.width", 250, "display.max_columns", 30):
        shown = ["config", "side", "measured", "predicted"]
        errors = [column for column in found if str(column).endswith("error")]
        print(found[[*shown, *errors, "met"]].to_string(index=False))


if __name__ == "__main__":
    main()
