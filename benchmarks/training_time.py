"""Seconds of a training step: predicted beside measured, in one process, on this machine.

    python -m benchmarks.training_time [--profile NAME_OR_PATH] [--json]

Mixtrals with random weights, looped, grouped and batched, at several numbers of experts. Predicted
is one step over and over (protocol `loop`) on the profile of this machine (`condsim calibrate`);
measured the median of steps in one thread, which take turns. Rival, in the same run: three times
the measured forward ("backward = 2 x forward").

Target: latency 8 % median, 20 % at the 90th percentile; the order of looped and grouped always right.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch
from torch import nn

import condsim
from benchmarks.training_memory import LIBRARY, Config, step_of

SHAPES = (
    Config(128, 256, 1, 8, 2, 256, 4, 32),
    Config(128, 256, 1, 32, 2, 256, 4, 32),
    Config(256, 256, 1, 16, 2, 256, 2, 64),
    Config(128, 128, 1, 64, 4, 256, 4, 64),
)
ROUNDS = 7
WARM = 2


@dataclass(frozen=True)
class Timed:
    """A case. step, forward: what is timed."""

    config: int
    strategy: str
    predicted_s: float
    step: Callable[[], None]
    forward: Callable[[], None]


def cases(profile: str | None) -> list[Timed]:
    """All shapes and strategies, captured and predicted."""
    found = []
    for number, config in enumerate(SHAPES):
        ids = config.tokens()
        base = config.model()
        base.set_experts_implementation("grouped_mm")  # type: ignore[operator]
        training = condsim.Training(optimizer=config.optimizer)
        inputs = {"input_ids": ids, "labels": ids}
        trace = condsim.capture(base, inputs, train=training, measure=False)
        for strategy, name in LIBRARY.items():
            prediction = condsim.simulate(trace, profile, strategy, protocol="loop")
            model = config.model().train()
            model.set_experts_implementation(name)  # type: ignore[operator]
            optimizer = config.optimizer(model.parameters())
            step = step_of(model, optimizer, ids)
            found.append(
                Timed(number, strategy, prediction.latency_s, step, forward_of(model, ids))
            )
    return found


def forward_of(model: nn.Module, ids: torch.Tensor) -> Callable[[], None]:
    """A forward with its loss, without autograd."""

    def forward() -> None:
        with torch.no_grad():
            model(input_ids=ids, labels=ids)

    return forward


def seconds(call: Callable[[], None]) -> list[float]:
    """Seconds of the thread's CPU for each of ROUNDS calls in a row, after WARM ones."""
    for _ in range(WARM):
        call()
    taken = []
    for _ in range(ROUNDS):
        began = time.thread_time()
        call()
        taken.append(time.thread_time() - began)
    return taken


def table(profile: str | None) -> pd.DataFrame:
    """A row a case: predicted and measured seconds, and the rival's."""
    rows: list[dict[str, Any]] = []
    for case in cases(profile):
        measured_s = statistics.median(seconds(case.step))
        forward_s = statistics.median(seconds(case.forward))
        rows.append(
            {
                "config": case.config,
                "experts": SHAPES[case.config].experts,
                "strategy": case.strategy,
                "measured_s": measured_s,
                "predicted_s": case.predicted_s,
                "error": case.predicted_s / measured_s - 1,
                "three forwards error": 3 * forward_s / measured_s - 1,
            }
        )
    return pd.DataFrame(rows)


def right_order(found: pd.DataFrame) -> bool:
    """Whether of looped and grouped the faster one is predicted to be faster, in all shapes."""
    for _, of_config in found.groupby("config"):
        of = of_config.set_index("strategy")
        for column in itertools.combinations(("looped", "grouped"), 2):
            measured = of.loc[list(column), "measured_s"].idxmin()
            if of.loc[list(column), "predicted_s"].idxmin() != measured:
                return False
    return True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profile")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    found = table(options.profile)
    if options.json:
        print(json.dumps(found.to_dict(orient="records"), indent=1))
        return
    print(found.to_string(index=False))
    error = found["error"].abs()
    rival = found["three forwards error"].abs()
    print(f"latency error: median {error.median():.1%}, 90th percentile {error.quantile(0.9):.1%}")
    print(f"three forwards: median {rival.median():.1%}, 90th percentile {rival.quantile(0.9):.1%}")
    print(f"order of looped and grouped right: {right_order(found)}")


if __name__ == "__main__":
    main()
