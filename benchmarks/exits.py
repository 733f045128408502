"""What exits while decoding do to the text: bits a byte of exit-bytes by how it pays what it
owes, on text that it has not seen.

    python -m benchmarks.exits [--batches N] [--thresholds T ...]

Every byte of the text is given after a prompt, one a step, so that all ways are judged on the same
bytes; each one leaves where the model is sure.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import pandas as pd
import torch

from condsim.live.execution import Execution, executing
from condsim.zoo.base import build, read_checkpoint
from condsim.zoo.data import spread_starts, text_sample, windows
from condsim.zoo.exit_bytes import ExitBytes, bits_of

WAYS = ("projected", "copied", "recomputed", "wait", "masked", "same-params")
UNITS, PROMPT, GIVEN = 16, 48, 48
"""Sequences a batch, bytes of a prompt, bytes that are given after it."""


@dataclass(frozen=True)
class Judged:
    """A way on some text.

    bits: a byte. layers: that a byte runs. left: share that leaves at each exit.
    """

    bits: float
    layers: float
    left: list[float]


@torch.inference_mode()
def judged(model: ExitBytes, way: str, text: torch.Tensor) -> Judged:
    """text: int64 [batches, UNITS, PROMPT + GIVEN + 1]."""
    bits, passed = [], []
    for batch in text:
        out = model(batch[:, :PROMPT])
        for place in range(PROMPT, PROMPT + GIVEN):
            with executing(Execution({"*": way}, observed={})) as execution:
                out = model(batch[:, [place]], out.past_key_values)
            bits.append(bits_of(out.logits, batch[:, [place + 1]]).mean().item())
            passed.append(exits_passed(model, execution))
    exits = torch.cat(passed)
    borders = torch.tensor(model.borders[1:])
    left = [(exits == number).float().mean().item() for number in range(len(borders) - 1)]
    return Judged(sum(bits) / len(bits), borders[exits].float().mean().item(), left)


def exits_passed(model: ExitBytes, execution: Execution) -> torch.Tensor:
    """Exits that each sequence passed in a step, by its own decision, int64 [UNITS]."""
    passed = torch.zeros(UNITS, dtype=torch.int64)
    observed = execution.observed or {}
    present = torch.arange(UNITS)
    for number in range(len(model.borders) - 2):
        calls = observed.get(f"exit{number}")
        if not calls:  # no exit, or nobody got there
            return passed if observed else passed + len(model.borders) - 2
        ids = calls[0]["ids"]
        if len(ids) == UNITS and number:  # all rows run, those that left too
            ids = ids[present]
        present = present[ids == 1]
        passed[present] += 1
    return passed


def table(model: ExitBytes, text: torch.Tensor, threshold: float) -> pd.DataFrame:
    """A row a way."""
    model.threshold = threshold
    rows = []
    for way in WAYS:
        found = judged(model, way, text)
        left = {f"leave at {exit}": share for exit, share in enumerate(found.left)}
        rows.append(
            {"threshold": threshold, "way": way, "bits": found.bits, "layers": found.layers, **left}
        )
    return pd.DataFrame(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batches", type=int, default=6)
    parser.add_argument("--thresholds", type=float, nargs="+", default=[0.5, 0.7, 0.9])
    given = parser.parse_args()
    torch.set_num_threads(1)
    model = build("exit-bytes", read_checkpoint("exit-bytes"))
    assert isinstance(model, ExitBytes)
    sample = text_sample()
    length = PROMPT + GIVEN + 1
    starts = spread_starts(sample, given.batches * UNITS, length)
    text = windows(sample, starts, length)[0].view(given.batches, UNITS, length)
    for threshold in given.thresholds:
        print(table(model, text, threshold).round(3).to_string(index=False))


if __name__ == "__main__":
    main()
