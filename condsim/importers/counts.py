"""Counts of how often each expert was chosen: SGLang's recorder, llama.cpp's activations.

Counts do not say which experts a token takes together. They become tokens all the same, whose
loads are exactly these: of each step and layer, an expert's tokens are dealt out one after another.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.lib as pa

from condsim.errors import CondsimError
from condsim.importers.parts.base import Importer, ModelShape, importer
from condsim.importers.parts.csv import csv_batches
from condsim.importers.parts.npy import ArrayFile
from condsim.importers.parts.peek import Peek
from condsim.importers.parts.spool import BLOCK, Spool
from condsim.importers.parts.texts import LAYER, name_in
from condsim.mechanisms.base import NOT_REACHED

MEMBER = "logical_count"
EXPERT, COUNT = ("expert_id", "expert"), ("count",)
MOST_DECISIONS = 10**9
"""More decisions than these are not made of counts."""
MOST_NUMBERS = 10**5
"""Layers and experts of a table of counts have lower numbers."""
MOST_CELLS = 10**7
"""Experts of all layers together."""
MOST_COUNT = 2**53
"""Of one expert."""


@importer
class Counts(Importer):
    """Counts [steps, layers, experts], or a table of layer, expert and count."""

    name = "counts"
    title = "SGLang's recorder (logical_count), tables of layer, expert and perhaps count"

    def recognises(self, file: Peek) -> bool:
        in_table = name_in(LAYER, file.columns) and name_in(EXPERT, file.columns)
        return MEMBER in file.members or bool(in_table)

    def read_file(self, path: Path, shape: ModelShape, spool: Spool) -> None:
        if shape.top_k is None:
            raise CondsimError(
                f"{path} holds counts, which do not say how many experts a token takes; say it "
                "(--top-k, ModelShape(top_k=...)) and they become tokens of the same loads"
            )
        counts = _member(path) if MEMBER in Peek(path).members else _table(path)
        rows = [_rows(step, shape.top_k) for step in counts]
        decisions = sum(rows) * counts.shape[1] * shape.top_k
        if decisions > MOST_DECISIONS:
            raise CondsimError(
                f"{path} counts {sum(rows):,} tokens: {decisions:,} decisions, more than "
                f"{MOST_DECISIONS:,}; divide the counts, which keeps their shares"
            )
        spool.clean = True
        spool.default_experts = counts.shape[2]
        for step, tokens in zip(counts, rows, strict=True):
            _add_step(step, tokens, shape.top_k, spool)
        spool.notes.append(
            f"{path.name} holds counts: the load of each expert is as recorded, a step for each "
            "count; which experts a token takes together is not known and means nothing here"
        )


def _member(path: Path) -> np.ndarray:
    """Counts int64 [steps, layers, experts]."""
    with ArrayFile(path) as arrays:
        array = arrays.array(MEMBER).check_integers()
        if len(array.shape) not in (2, 3):
            raise CondsimError(
                f"{array.label} has the shape {list(array.shape)}; counts are [steps, layers, "
                "experts] or [layers, experts]"
            )
        counts = array.whole().astype(np.int64)
    if counts.size and counts.min() < 0:
        raise CondsimError(f"{array.label} has a negative count, {counts.min()}")
    if counts.size and counts.max() > MOST_COUNT:
        raise CondsimError(f"{array.label} has a count of {counts.max()}, more than {MOST_COUNT}")
    return counts.reshape(-1, *counts.shape[-2:])


def _table(path: Path) -> np.ndarray:
    """Counts of a table, one step, int64 [1, layers, experts]."""
    counts: np.ndarray = np.zeros((0, 0), np.int64)
    for layers, experts, numbers in _batches(path):
        needed = (int(layers.max()) + 1, int(experts.max()) + 1)
        larger = np.maximum(counts.shape, needed)
        if larger.prod() > MOST_CELLS:
            raise CondsimError(
                f"{path} has layers up to {larger[0] - 1:,} and experts up to {larger[1] - 1:,}, "
                "which no model has: a column means something else"
            )
        grown: np.ndarray = np.zeros(larger, np.int64)
        grown[: counts.shape[0], : counts.shape[1]] = counts
        np.add.at(grown, (layers, experts), numbers)
        counts = grown
    return counts[None]


def _batches(path: Path) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray | int]]:
    """Yield (layers, experts, counts) of some rows."""
    columns = Peek(path).columns
    layer, expert, count = (name_in(names, columns) for names in (LAYER, EXPERT, COUNT))
    if layer is None or expert is None:
        raise CondsimError(f"{path} has no columns of layer and expert, nor an array {MEMBER}")
    used = [name for name in (layer, expert, count) if name is not None]
    for batch in csv_batches(path, used):
        numbers = 1 if count is None else _numbers(batch, count, path, MOST_COUNT)
        layers = _numbers(batch, layer, path, MOST_NUMBERS)
        yield layers, _numbers(batch, expert, path, MOST_NUMBERS), numbers


def _numbers(batch: pa.RecordBatch, name: str, path: Path, most: int) -> np.ndarray:
    values: np.ndarray = batch.column(name).to_numpy(zero_copy_only=False)
    if values.dtype.kind != "i" or values.min() < 0 or values.max() >= most:
        raise CondsimError(
            f"{path}: column {name} must hold whole numbers from 0, got {values[:1].tolist()} ..."
        )
    return values


def _rows(counts: np.ndarray, top_k: int) -> int:
    """Tokens of a step: enough for each layer, and for an expert that all tokens take.

    counts: int [layers, experts].
    """
    even = -(-counts.sum(axis=1) // top_k)
    return int(np.maximum(even, counts.max(axis=1, initial=0)).max(initial=0))


def _add_step(counts: np.ndarray, tokens: int, top_k: int, spool: Spool) -> None:
    """Deal out the choices of each layer: the first to the first place of each token, and so on.

    An expert has at most as many choices as there are tokens, so no token takes it twice.
    """
    spool.step(seq=tokens)
    for layer, of_layer in enumerate(counts):
        ends = np.cumsum(of_layer)
        for start in range(0, tokens, BLOCK):
            row = np.arange(start, min(start + BLOCK, tokens))
            choice = row[:, None] + np.arange(top_k) * tokens
            ids = np.searchsorted(ends, choice, side="right")
            spool.add(layer, np.where(choice < ends[-1], ids, NOT_REACHED))
