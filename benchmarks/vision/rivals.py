"""Vision transformers that drop or merge tokens beside smaller dense ones that were trained the
same way: accuracy and time on this machine.

    python -m benchmarks.vision.rivals [--train]

Models take turns; a time is the median over `ROUNDS` of them. --train: train the dense rivals for
their accuracy (some ten minutes); without, it is that of `ACCURACY`, which that printed.
"""

from __future__ import annotations

import argparse
import time

import pandas as pd
import torch
from rich.progress import Progress
from torch import nn

from condsim import zoo
from condsim.zoo.data import fashion_sample
from condsim.zoo.merge_fashion import MergeFashion, trained

BLOCKS = (2, 3, 4)
"""Of the dense rivals; the models that drop or merge tokens have six."""
BATCHES = (1, 32, 256)
ROUNDS = 40
ACCURACY = {"dense, 2 blocks": 0.876, "dense, 3 blocks": 0.866, "dense, 4 blocks": 0.869}
"""Of rivals, seed 0, as many steps as the zoo's models."""


def dense(blocks: int, train: bool) -> MergeFashion:
    """A dense rival, trained like `merge-fashion`, or with random weights."""
    torch.manual_seed(0)
    model = MergeFashion(merged=0, blocks=blocks)
    if train:
        with Progress() as progress:
            trained(model, MergeFashion.steps, progress)
    return model.eval()


@torch.inference_mode()
def accuracy(model: nn.Module) -> float:
    """Share of the 2,048 test images whose class is told."""
    images, labels = fashion_sample()
    told = torch.cat([model(batch).argmax(-1) for batch in images.split(128)])
    return float((told == labels).float().mean())


@torch.inference_mode()
def seconds(models: dict[str, nn.Module], batch: int) -> pd.Series:
    """Median seconds of a forward of each model, taken in turns."""
    batches = fashion_sample()[0].split(batch)
    found: dict[str, list[float]] = {name: [] for name in models}
    for number in range(ROUNDS + 3):
        images = batches[number % (len(batches) - 1)]
        for name, model in models.items():
            start = time.perf_counter()
            model(images)
            found[name].append(time.perf_counter() - start)
    return pd.DataFrame(found).iloc[3:].median()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--train", action="store_true")
    train = parser.parse_args().train
    torch.set_num_threads(1)
    plain = zoo.load("merge-fashion").model
    plain.merged = 0
    models: dict[str, nn.Module] = {"dense, 6 blocks": plain}
    for name in ("merge-fashion", "prune-fashion"):
        models[name] = zoo.load(name).model
    rivals = {f"dense, {blocks} blocks": dense(blocks, train) for blocks in BLOCKS}
    models |= rivals
    rows = {}
    for name, model in models.items():
        known = name in rivals and not train
        rows[name] = {"accuracy, %": 100 * (ACCURACY[name] if known else accuracy(model))}
    table = pd.DataFrame(rows).T
    for batch in BATCHES:
        table[f"batch {batch}, ms"] = 1e3 * seconds(models, batch)
    print(table.round(2).to_string())


if __name__ == "__main__":
    main()
