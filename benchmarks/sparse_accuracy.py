"""Accuracy of sparse training beside dense runs of equal FLOPs: LeNet-300-100 on Fashion-MNIST.

    python -m benchmarks.sparse_accuracy [--seeds 3] [--steps 6000] [--json]

Of each density: RigL, SET and masks that never move, and two dense runs of as many FLOPs:

- `narrow`: a network of smaller hidden layers, trained for as many steps;
- `short`: the whole network, trained for fewer steps.

FLOPs of RigL are those of its published formula over the whole training (a move asks for the
gradient of all weights); of SET and static masks three products a weight that is there. Accuracy
is of 2,048 held-out images, the mean of the seeds; `spread` is the largest less the smallest. About
ten seconds a run on one core.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch
from rich.progress import Progress

from condsim.predict.mask_moves import PRODUCTS_OF_A_STEP, rigl_step_flops
from condsim.zoo.data import fashion_sample
from condsim.zoo.sparse_fashion import BATCH, CLASSES, PIXELS, UPDATE_EVERY, SparseFashion

WIDTHS = (300, 100)
DENSITIES = (0.5, 0.2, 0.1, 0.05, 0.02)
GROWTHS = ("rigl", "set", "static")
PRODUCT = 2
"""FLOPs of a weight in one product of one image."""


@dataclass(frozen=True)
class Run:
    """One training. what: rigl, set, static, narrow, short or dense. of: the density whose FLOPs
    it has."""

    what: str
    of: float
    widths: tuple[int, ...]
    density: float
    growth: str
    steps: int

    @property
    def flops(self) -> float:
        """Of the whole training."""
        every_weight = weights_of(self.widths, 1.0)
        there = weights_of(self.widths, self.density)
        forward, dense = (PRODUCT * BATCH * count for count in (there, every_weight))
        step = float(PRODUCTS_OF_A_STEP * forward)
        if self.growth == "rigl" and self.density < 1:
            step = rigl_step_flops(forward, dense, UPDATE_EVERY)
        return step * self.steps

    def accuracy(self, seed: int) -> float:
        """Train, and return the share of held-out images that are told right."""
        torch.manual_seed(seed)
        model = SparseFashion(self.widths, self.density, self.growth)
        with Progress(disable=True) as progress:
            trained, _, _ = model.trained(self.steps, progress)
        images, labels = fashion_sample()
        with torch.no_grad():
            told = trained(images).argmax(1)
        return float((told == labels).float().mean())


def weights_of(widths: Sequence[int], density: float) -> float:
    """Weights that are there: a share of the hidden layers', all of the last."""
    sizes = (PIXELS, *widths)
    hidden = sum(into * out for into, out in zip(sizes, widths, strict=False))
    return density * hidden + widths[-1] * CLASSES


def narrow(density: float) -> tuple[int, ...]:
    """Hidden layers, in the proportion of WIDTHS, with as many weights as a density leaves."""
    wanted = weights_of(WIDTHS, density)
    first, second = WIDTHS
    fits = [(1, 1)]
    for width in range(1, first + 1):
        widths = (width, max(1, round(width * second / first)))
        if weights_of(widths, 1.0) <= wanted:
            fits.append(widths)
    return fits[-1]


def runs(steps: int) -> Iterator[Run]:
    """All trainings of the table. steps: of a sparse one."""
    whole = Run("dense", 1.0, WIDTHS, 1.0, "static", steps)
    yield whole
    for density in DENSITIES:
        for growth in GROWTHS:
            yield Run(growth, density, WIDTHS, density, growth, steps)
        yield Run("narrow", density, narrow(density), 1.0, "static", steps)
        rigl = Run("rigl", density, WIDTHS, density, "rigl", steps)
        short = max(1, round(steps * rigl.flops / whole.flops))
        yield Run("short", density, WIDTHS, 1.0, "static", short)


def row_of(run: Run, seeds: int) -> dict[str, Any]:
    """What a training reached."""
    reached = [run.accuracy(seed) for seed in range(seeds)]
    return {
        "density": run.of,
        "run": run.what,
        "widths": "-".join(map(str, run.widths)),
        "steps": run.steps,
        "flops": run.flops,
        "accuracy": sum(reached) / seeds,
        "spread": max(reached) - min(reached),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=SparseFashion.steps)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if min(options.seeds, options.steps) < 1:
        parser.error("--seeds and --steps must be at least 1")
    torch.set_num_threads(1)
    rows = []
    for run in runs(options.steps):
        rows.append(row_of(run, options.seeds))
        if not options.json:
            print(f"{run.what} of {run.of:g}: {rows[-1]['accuracy']:.1%}", flush=True)
    if options.json:
        print(json.dumps(rows, indent=1))
        return
    table = pd.DataFrame(rows)
    print(table.pivot(index="density", columns="run", values="accuracy").to_string())
    print(table.to_string(index=False))


if __name__ == "__main__":
    main()
