"""Sparse weights on this machine: predicted beside measured, in one process.

    python -m benchmarks.sparse_training [--profile NAME_OR_PATH] [--traces FOLDER] [--json]

Three things, the first two of random masks at given densities:

- a training step and a forward of three MLPs, dense, masked, rows, csr and csr_sampled: one step
  over and over, in turn. Target: step time 5 % median, 12 % at the 90th percentile.
- the density at which a layer alone breaks even with the dense one, where its time crosses it.
  Target: within 0.03.
- products of an earlier day (`benchmarks/literature/sparse_products.csv`): their speedup then, and
  as predicted here. Target: signs right, 25 % median.

Predictions rest on the profile of this machine (`condsim calibrate`), which knows no model. Traces
are captured first, which takes minutes; --traces keeps them for the next run.
"""

from __future__ import annotations

import argparse
import itertools
import json
import warnings
from pathlib import Path
from typing import Any

import pandas as pd
import torch

import condsim
from benchmarks.sparse_steps import (
    CLASSES,
    DENSE,
    STRATEGIES,
    Mlp,
    captured,
    history,
    in_turn,
    steps,
)
from condsim.cost.cpu.operator_time import operator_time
from condsim.cost.hot import SizedOperator
from condsim.hardware import HardwareProfile, this_machine
from condsim.trace import Trace

DENSITIES = (0.5, 0.2, 0.1, 0.05, 0.02)
EARLIER = Path(__file__).parent / "literature" / "sparse_products.csv"
MLPS = (
    Mlp((784, 300, 100, CLASSES), 64),
    Mlp((784, 512, 512, CLASSES), 128),
    Mlp((1024, 1024, 1024, CLASSES), 128),
)

LAYERS = ((1024, 1024, 128), (512, 784, 64), (768, 3072, 64), (256, 256, 256), (1024, 512, 32))
"""(outputs, inputs, rows) of layers whose break-even is looked for."""
BREAK_EVEN_DENSITIES = (0.5, 0.4, 0.3, 0.2, 0.15, 0.1, 0.05, 0.02)


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
    if ratios[0] <= 1:
        return densities[0]
    pairs = zip(itertools.pairwise(densities), itertools.pairwise(ratios), strict=True)
    for (high, low), (above, below) in pairs:
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
