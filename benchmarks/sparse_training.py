"""Sparse weights on this machine: predicted beside measured, in one process.

    python -m benchmarks.sparse_training [--profile NAME_OR_PATH] [--traces FOLDER] [--json]

Three things, the first two of random masks at given densities:

- a training step and a forward of three MLPs, dense, masked, rows, csr and csr_sampled: one step
  over and over, in turn. Target: step time 5 % median, 12 % at the 90th percentile.
- the density at which a layer alone breaks even with the dense one, where its time crosses it.
  Target: within 0.03.

- products of an earlier day (`benchmarks/literature/sparse_products.csv`): their speedup then, and as
  predicted here. Target: signs right, 25 % median.

Predictions rest on the profile of this machine (`condsim calibrate`), which knows no model. Traces
are captured first, which takes minutes; --traces keeps them for the next run.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.nn.utils import prune

import condsim
from condsim.cost.cpu.operator_time import operator_time
from condsim.cost.hot import SizedOperator
from condsim.hardware import HardwareProfile, this_machine
from condsim.live.execution import Execution
from condsim.live.masks import masked_layers
from condsim.live.model import LiveModel
from condsim.live.sparse_weights import MECHANISM, sparse_weights
from condsim.trace import Trace

DENSITIES = (0.5, 0.2, 0.1, 0.05, 0.02)
STRATEGIES = ("masked", "rows", "csr", "csr_sampled")
DENSE = "same-params"
EARLIER = Path(__file__).parent / "literature" / "sparse_products.csv"
ROUNDS = 15
WARM = 2
CLASSES = 10


@dataclass(frozen=True)
class Mlp:
    """Layers as wide as this, of which all but the last have masks; the batch of a step."""

    widths: tuple[int, ...]
    batch: int

    @property
    def name(self) -> str:
        return "-".join(map(str, self.widths)) + f" x {self.batch}"

    def model(self) -> nn.Sequential:
        """The network, with masks that leave all weights."""
        torch.manual_seed(0)
        layers: list[nn.Module] = []
        for inputs, outputs in zip(self.widths, self.widths[1:], strict=False):
            layers += [nn.Linear(inputs, outputs), nn.ReLU()]
        network = nn.Sequential(*layers[:-1])
        for layer in list(network)[:-1:2]:
            prune.identity(layer, "weight")
        return network

    def data(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Inputs and their classes."""
        torch.manual_seed(1)
        return torch.randn(self.batch, self.widths[0]), torch.randint(0, CLASSES, (self.batch,))


MLPS = (
    Mlp((784, 300, 100, CLASSES), 64),
    Mlp((784, 512, 512, CLASSES), 128),
    Mlp((1024, 1024, 1024, CLASSES), 128),
)

LAYERS = ((1024, 1024, 128), (512, 784, 64), (768, 3072, 64), (256, 256, 256), (1024, 512, 32))
"""(outputs, inputs, rows) of layers whose break-even is looked for."""
BREAK_EVEN_DENSITIES = (0.5, 0.4, 0.3, 0.2, 0.15, 0.1, 0.05, 0.02)


def optimizer(weights: Any) -> torch.optim.Optimizer:
    """SGD with momentum, as sparse training mostly has."""
    return torch.optim.SGD(weights, lr=0.0, momentum=0.9)


def history(model: nn.Module, densities: tuple[float, ...]) -> condsim.MaskHistory:
    """Random masks, an entry a density."""
    masks = condsim.MaskHistory()
    for number, density in enumerate(densities):
        rng = np.random.default_rng(number)
        drawn = {}
        for name, layer in masked_layers(model).items():
            drawn[name] = rng.random((layer.out_features, layer.in_features)) < density
        masks.put(drawn, number)
    return masks


def captured(mlp: Mlp, densities: tuple[float, ...], train: bool, folder: Path | None) -> Trace:
    """The trace of a network, kept in a folder where there is one."""
    kind = "train" if train else "forward"
    kept = None if folder is None else folder / f"{mlp.name} {kind}".replace(" ", "-")
    if kept is not None and kept.exists():
        return condsim.load(kept)
    inputs, classes = mlp.data()
    model = mlp.model()
    training = condsim.Training(nn.functional.cross_entropy, optimizer, classes)
    trace = condsim.capture(
        model,
        inputs,
        measure=False,
        train=training if train else None,
        masks=history(model, densities),
    )
    if kept is not None:
        trace.save(kept)
    return trace


# What is timed.


def steps(mlp: Mlp, masks: dict[str, np.ndarray], train: bool) -> dict[str, Callable[[], None]]:
    """A step of each strategy, ready to be called over and over."""
    made = {}
    for strategy in (DENSE, *STRATEGIES):
        model = mlp.model()
        live = LiveModel(model, list(sparse_weights(model)))
        for site in live.sites:
            site.mask = masks[site.name]  # type: ignore[attr-defined]
            site.prepare(Execution({MECHANISM: strategy}))
            stack = site.installed()
            stack.__enter__()
        made[strategy] = _training_step(live, mlp) if train else _forward(live, mlp)
        made[strategy].stack = live  # type: ignore[attr-defined]
    return made


def _training_step(live: LiveModel, mlp: Mlp) -> Callable[[], None]:
    inputs, classes = mlp.data()
    replaced = set()
    weights = []
    for site in live.sites:
        tensors = site.made_tensors()
        for tensor in tensors.values():
            weights.append(tensor.requires_grad_(True))
        if tensors:
            replaced.add(f"{site.name}.weight_orig")
    for name, weight in live.model.named_parameters():
        if name not in replaced:
            weights.append(weight)
    updates = optimizer(weights)

    def step() -> None:
        loss = nn.functional.cross_entropy(live.model(inputs), classes)
        loss.backward()
        updates.step()
        updates.zero_grad(set_to_none=True)

    return step


def _forward(live: LiveModel, mlp: Mlp) -> Callable[[], None]:
    inputs, _ = mlp.data()

    def forward() -> None:
        with torch.inference_mode():
            live.model(inputs)

    return forward


def in_turn(calls: dict[str, Callable[[], None]]) -> dict[str, float]:
    """The median seconds of each call; each runs several times in a row, round after round."""
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(3):
        for name, call in calls.items():
            for _ in range(WARM):
                call()
            for _ in range(ROUNDS // 3):
                began = time.thread_time()
                call()
                taken[name].append(time.thread_time() - began)
    return {name: statistics.median(seconds) for name, seconds in taken.items()}


# The tables.


def step_table(profile: str | None, folder: Path | None) -> pd.DataFrame:
    """A row a network, density, strategy and phase: predicted and measured seconds."""
    rows = []
    for train in (True, False):
        for mlp in MLPS:
            trace = captured(mlp, DENSITIES, train, folder)
            masks = history(mlp.model(), DENSITIES)
            for entry, density in enumerate(DENSITIES):
                measured = in_turn(steps(mlp, masks.masks(entry), train))
                for strategy, predicted_s in predicted(trace, profile, entry).items():
                    rows.append(
                        {
                            "mlp": mlp.name,
                            "phase": "training" if train else "forward",
                            "density": density,
                            "strategy": strategy,
                            "measured_s": measured[strategy],
                            "predicted_s": predicted_s,
                        }
                    )
    found = pd.DataFrame(rows)
    found["error"] = found["predicted_s"] / found["measured_s"] - 1
    return found


def predicted(trace: Trace, profile: str | None, entry: int) -> dict[str, float]:
    """Strategy → predicted seconds of the step with the masks of an entry."""
    seconds = {}
    for strategy in STRATEGIES:
        answer = condsim.simulate(trace, profile, strategy, protocol="loop", steps=(entry,))
        seconds[strategy] = answer.latency_s
        seconds[DENSE] = answer.baseline_s
    return seconds


def break_even_table(profile: str | None, folder: Path | None) -> pd.DataFrame:
    """A row a layer, phase and strategy: the density at which it costs what the dense one does."""
    rows = []
    for outputs, inputs, batch in LAYERS:
        mlp = Mlp((inputs, outputs, CLASSES), batch)
        trace = captured(mlp, BREAK_EVEN_DENSITIES, False, folder)
        masks = history(mlp.model(), BREAK_EVEN_DENSITIES)
        sides: dict[str, list[dict[str, float]]] = {"measured": [], "predicted": []}
        for entry in range(len(BREAK_EVEN_DENSITIES)):
            sides["measured"].append(in_turn(steps(mlp, masks.masks(entry), False)))
            sides["predicted"].append(predicted(trace, profile, entry))
        for strategy in ("csr",):
            row: dict[str, Any] = {"layer": f"{outputs} x {inputs}, {batch}", "strategy": strategy}
            for side, by_entry in sides.items():
                ratios = [of[strategy] / of[DENSE] for of in by_entry]
                row[side] = crossing(BREAK_EVEN_DENSITIES, ratios)
            rows.append(row)
    found = pd.DataFrame(rows)
    found["difference"] = found["predicted"] - found["measured"]
    return found


def earlier_table(profile: str | None) -> pd.DataFrame:
    """A row a product that was measured on another day: its speedup then, and as predicted here."""
    known = condsim.hardware(profile) if profile else this_machine()
    assert known is not None
    found = pd.read_csv(EARLIER)
    speedups = []
    for row in found.itertuples():
        shape = (int(row.rows_out), int(row.cols_in), int(row.batch))  # type: ignore[arg-type]
        density = float(row.density)  # type: ignore[arg-type]
        dense_s = _linear_s(known, *shape)
        some_s = dense_s
        if row.strategy == "rows_kept":
            some_s = _linear_s(known, round(shape[0] * density), *shape[1:])
        else:
            some_s = _sparse_s(known, *shape, density)
        speedups.append(dense_s / some_s)
    found["predicted"] = speedups
    found["error"] = found["predicted"] / found["speedup"] - 1
    return found


def _linear_s(profile: HardwareProfile, outputs: int, inputs: int, rows: int) -> float:
    shapes = [(rows, inputs), (outputs, inputs)]
    return float(operator_time(SizedOperator("linear", shapes, [(rows, outputs)]), profile).seconds)


def _sparse_s(
    profile: HardwareProfile, outputs: int, inputs: int, rows: int, density: float
) -> float:
    values = round(outputs * inputs * density)
    parts = [(outputs + 1,), (values,), (values,), (inputs, rows)]
    product = SizedOperator("csr_mm", parts, [(outputs, rows)], (1,))
    return float(operator_time(product, profile).seconds)


def same_sign(found: pd.DataFrame) -> float:
    """The share of rows that pay, or do not, as predicted."""
    return float(((found["predicted"] > 1) == (found["speedup"] > 1)).mean())


def crossing(densities: tuple[float, ...], ratios: list[float]) -> float:
    """The largest density at which a ratio falls to 1, linear between two; nan where none does.

    densities: falling. ratios: of the seconds of a strategy to those of the dense layer.
    """
    pairs: Iterator[Any] = zip(densities, densities[1:], ratios, ratios[1:], strict=False)
    if ratios[0] <= 1:
        return densities[0]
    for high, low, above, below in pairs:
        if above > 1 >= below:
            return low + (high - low) * (1 - below) / (above - below)
    return float("nan")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profile")
    parser.add_argument("--traces", type=Path)
    parser.add_argument("--capture", action="store_true", help="only capture, into --traces")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    warnings.simplefilter("ignore", UserWarning)
    torch.set_num_threads(1)
    if options.capture:
        for mlp in MLPS:
            for train in (True, False):
                captured(mlp, DENSITIES, train, options.traces)
        for outputs, inputs, batch in LAYERS:
            mlp = Mlp((inputs, outputs, CLASSES), batch)
            captured(mlp, BREAK_EVEN_DENSITIES, False, options.traces)
        return
    earlier = earlier_table(options.profile)
    found = step_table(options.profile, options.traces)
    even = break_even_table(options.profile, options.traces)
    if options.json:
        tables = {"steps": found, "break_even": even, "earlier": earlier}
        print(json.dumps({name: t.to_dict(orient="records") for name, t in tables.items()}))
        return
    print(found.to_string(index=False))
    errors = found["error"].abs().groupby([found["phase"], found["strategy"]])
    print(errors.describe(percentiles=[0.5, 0.9])[["count", "50%", "90%", "max"]])
    every = found["error"].abs()
    print(f"step time: median {every.median():.1%}, 90th percentile {every.quantile(0.9):.1%}")
    print(even.to_string(index=False))
    print(earlier.to_string(index=False))
    off = earlier["error"].abs()
    print(f"earlier products: median {off.median():.1%}, sign right in {same_sign(earlier):.0%}")
    print(f"break-even: at most {even['difference'].abs().max():.3f} off")


if __name__ == "__main__":
    main()
