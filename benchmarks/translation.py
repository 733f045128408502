"""What the experts' capacity does to translations: dropped tokens and chrF of translate-verses,
on verses that it has not seen.

    python -m benchmarks.translation [--batches N] [--factors F ...]

Every verse is translated greedily; the experts of the encoder have room for `max(1, ceil(factor x
40 / 8))` of its tokens each.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from condsim.capture.observe import observe
from condsim.live.decode import greedy_tokens
from condsim.live.execution import Execution
from condsim.live.inputs import as_batches
from condsim.live.model import LiveModel
from condsim.zoo import load

FACTORS = (0.5, 0.75, 1.0, 1.25, 1.5, 2.0)
"""Capacity factors."""


@dataclass(frozen=True)
class Judged:
    """A capacity factor.

    dropped: share of the encoder's tokens, over its layers. chrf: of a verse, the mean.
    """

    factor: float
    dropped: float
    chrf: float


def judged(factor: float, batches: int) -> Judged:
    """What a capacity factor does to some batches of verses."""
    example = load("translate-verses", batches=batches, settings={"capacity": factor})
    live = LiveModel.of(example.model)
    inputs = as_batches(example.inputs)
    seen = observe(live, inputs)
    encoder = [decisions.ids < 0 for name, decisions in seen.joined().items() if "encoder" in name]
    assert example.quality is not None
    scores = []
    for number, batch in enumerate(inputs):
        tokens = greedy_tokens(live, batch, example.new_tokens, Execution())
        scores.append(example.quality(tokens, number))
    return Judged(factor, float(np.mean(encoder)), float(np.concatenate(scores).mean()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batches", type=int, default=4)
    parser.add_argument("--factors", type=float, nargs="+", default=FACTORS)
    given = parser.parse_args()
    torch.set_num_threads(1)
    table = pd.DataFrame([judged(factor, given.batches) for factor in given.factors])
    print(table.round(3).to_string(index=False))


if __name__ == "__main__":
    main()
