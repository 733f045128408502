"""What fills the memory, part by part, on both sides of a prediction."""

from __future__ import annotations

import pandas as pd

from condsim.predict.memory import Memory
from condsim.predict.prediction import Prediction

ALL = "all"
COLUMNS = ["part", "dense_bytes", "conditional_bytes", "added_bytes"]


def memory_parts(prediction: Prediction) -> pd.DataFrame:
    """Return a row a part, and one for all: part, dense_bytes, conditional_bytes, added_bytes (what
    the conditional side takes more).

    Of a training step these are the parts of its peak (`condsim.predict.training_memory`), of any
    other step weights, keys and values that it leaves for the next, and activations.
    """
    if len(prediction.memory_waterfall):
        return prediction.memory_waterfall
    conditional, dense = prediction.memories
    rows = []
    for name, of_dense, of_conditional in zip(
        NAMES, _parts(dense), _parts(conditional), strict=True
    ):
        if of_dense or of_conditional:
            rows.append((name, of_dense, of_conditional, of_conditional - of_dense))
    return pd.DataFrame(rows, columns=COLUMNS)


NAMES = ("weights", "keys and values", "activations", ALL)


def _parts(memory: Memory) -> tuple[int, int, int, int]:
    needed = memory.needed_bytes
    return memory.weights_bytes, memory.caches_bytes, memory.activations_bytes, needed
