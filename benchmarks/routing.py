"""Whether drawn routing loads experts as recorded routing does, on tokens that it was not fitted
to.

    python -m benchmarks.routing FOLDER

FOLDER holds ids that the trained model FLAME-MoE-290M chose (data set CMU-FLAME/FLAME-MoE-Traces,
Apache-2.0): `prefill.parquet` (layer, token, indices) and `decode.parquet` (step, layer, sequence,
indices). The prefill tokens are eight sequences beside each other: tokens that are eight apart
share 1.4 of their 6 experts, others 0.6.

A generator is fitted to one half of the positions and compared with the other half, both ways, and
with the decode steps, which are of other sequences. Independent draws from the same popularity
stand beside it. Bars: experts touched a step within 2 %, load max / mean within 10 %, medians over
layers and sizes of a step.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from condsim.program.regime import PREFILL
from condsim.routing import RoutingGenerator, fit_routing
from condsim.routing.drawn import trace_of_ids
from condsim.trace.columns import STEPS

EXPERTS = 64
BESIDE = 8
"""Sequences that lie beside each other in the prefill tokens."""
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
DRAWS = 16
"""As many times as many tokens are drawn as were recorded, so that chance in them is small."""
BARS = {"touched": 0.02, "load": 0.10}

Ids = np.ndarray
"""int [layers, sequences, positions, k]."""


def recorded(folder: Path) -> tuple[Ids, Ids]:
    """(prefill, decode): what was recorded."""
    prefill = pd.read_parquet(folder / "prefill.parquet").sort_values(["layer", "token"])
    decode = pd.read_parquet(folder / "decode.parquet").sort_values(["layer", "sequence", "step"])
    layers = prefill["layer"].nunique()
    of_prefill = np.stack(prefill["indices"].to_numpy()).astype(int)
    of_decode = np.stack(decode["indices"].to_numpy()).astype(int)
    top_k = of_prefill.shape[1]
    by_position = of_prefill.reshape(layers, -1, BESIDE, top_k)
    steps = decode["step"].nunique()
    return by_position.swapaxes(1, 2), of_decode.reshape(layers, -1, steps, top_k)


def fitted(ids: Ids) -> RoutingGenerator:
    """A generator of recorded ids."""
    layers, sequences, positions, top_k = ids.shape
    steps = pd.DataFrame([(PREFILL, sequences, positions, 0)], columns=list(STEPS))
    rows = list(ids.reshape(layers, -1, top_k))
    return fit_routing(trace_of_ids("FLAME-MoE-290M", rows, EXPERTS, steps, "recorded"))


def loads(ids: np.ndarray, batch: int) -> tuple[float, float]:
    """(experts touched, load max / mean) of steps of so many tokens, means; ids: int [tokens,
    k]."""
    steps = len(ids) // batch
    of_step = ids[: steps * batch].reshape(steps, -1)
    counts = np.stack([np.bincount(one, minlength=EXPERTS) for one in of_step])
    return float((counts > 0).sum(1).mean()), float((counts.max(1) / counts.mean(1)).mean())


def compared(generator: RoutingGenerator, held: Ids, kind: str) -> Iterator[dict[str, object]]:
    """A row a layer and batch: how far drawn routing is from what was recorded."""
    layers, sequences, positions, top_k = held.shape
    drawn = generator.draw(sequences * DRAWS, positions, seed=1)
    for layer in range(layers):
        repeats = drawn[layer].reshape(DRAWS, sequences, positions, top_k).swapaxes(1, 2)
        rows = held[layer].swapaxes(0, 1).reshape(-1, top_k)
        drawn_rows = repeats.reshape(-1, top_k).astype(int)
        for batch in BATCHES:
            if batch > len(rows):
                continue
            touched, load = loads(rows, batch)
            drawn_touched, drawn_load = loads(drawn_rows, batch)
            yield {
                "against": kind,
                "layer": layer,
                "batch": batch,
                "touched": drawn_touched / touched - 1,
                "load": drawn_load / load - 1,
            }


def table(folder: Path) -> pd.DataFrame:
    """A row a way to draw, a kind of tokens, a layer and a batch: relative errors."""
    prefill, decode = recorded(folder)
    halves = np.array_split(prefill, 2, axis=2)
    rows = []
    for shown, held in ((0, 1), (1, 0)):
        generator = fitted(halves[shown])
        for way, one in (("fitted", generator), ("independent", generator.independent())):
            found = [*compared(one, halves[held], "prefill"), *compared(one, decode, "decode")]
            rows += [{"draws": way, **row} for row in found]
    return pd.DataFrame(rows)


def main(arguments: list[str]) -> int:
    """Print the table. Returns 1 where a bar is missed."""
    folder = Path(arguments[0]) if arguments else None
    if folder is None or not (folder / "prefill.parquet").is_file():
        print("skipped: name the folder of the recorded ids, see the top of benchmarks/routing.py")
        return 0
    errors = table(folder)
    absolute = errors.assign(**{name: errors[name].abs() for name in BARS})
    by_batch = absolute.pivot_table(BARS, ["against", "batch"], "draws", "median")
    print("median |relative error| over layers and halves, %\n")
    print((100 * by_batch).round(1).to_string())
    medians = absolute.groupby("draws")[list(BARS)].median()
    print(f"\nall sizes, %\n{(100 * medians).round(2).to_string()}")
    missed = [name for name, bar in BARS.items() if medians.loc["fitted", name] > bar]
    print("bars (2 %, 10 %):", "missed: " + ", ".join(missed) if missed else "met")
    return bool(missed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
