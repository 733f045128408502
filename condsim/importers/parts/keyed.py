"""Rows that name their token: requests may be interleaved, and layers may come one after another.

A key is a number that puts rows in order: the sequence (or step) in the upper half, the token (or
the sequence of the step) in the lower one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from condsim.errors import CondsimError
from condsim.importers.parts.spool import BLOCK, DECODE, Layer, Spool

HALF = 32
MOST = 2**31 - 1
"""The largest number in either half of a key."""


def key_of(upper: np.ndarray, lower: np.ndarray) -> np.ndarray:
    """Return keys, int64 [rows]."""
    return (upper.astype(np.int64) << HALF) | lower.astype(np.int64)


@dataclass(frozen=True)
class KeyedFile:
    """A file whose rows have keys.

    first: the first number of its keys in the upper half. are_steps: that half numbers steps, in
    which each row is a token of another sequence; otherwise it numbers sequences.
    """

    path: Path
    first: int
    are_steps: bool = False


def settle(spool: Spool, files: Sequence[KeyedFile]) -> None:
    """Put the rows of all layers in the order of their keys, and say what the steps are.

    files: in order; those of one layer each begin at the same number.
    Raises CondsimError where a row is there twice, or layers have not the same tokens.
    """
    spool.files.clear()
    for number, layer in spool.layers.items():
        layer.close()
        _sort(number, layer)
    _check_same(spool)
    waiting = _grouped(files)
    are_steps = False
    for upper, rows in _runs(spool):
        while waiting and waiting[0][0].first <= upper:
            group = waiting.pop(0)
            more = f" and {len(group) - 1} more" if len(group) > 1 else ""
            spool.begin_file(f"{group[0].path.name}{more}")
            are_steps = group[0].are_steps
        if are_steps:
            spool.step(DECODE, units=rows)
        else:
            spool.step(seq=rows)


def _grouped(files: Sequence[KeyedFile]) -> list[list[KeyedFile]]:
    """Files that begin at the same number, side by side."""
    groups: list[list[KeyedFile]] = []
    for file in files:
        if groups and groups[-1][0].first == file.first:
            groups[-1].append(file)
        else:
            groups.append([file])
    return groups


def _sort(number: int, layer: Layer) -> None:
    if not _increasing(layer):
        layer.sort(np.argsort(layer.read("keys")[:, 0], kind="stable"))
    if not _increasing(layer):
        raise CondsimError(
            f"layer {number} has a token twice; import files that do not overlap, or name the "
            "requests in them"
        )


def _increasing(layer: Layer) -> bool:
    for start in range(0, layer.rows, BLOCK):
        block = layer.read("keys", start, start + BLOCK + 1)[:, 0]
        if not (block[1:] > block[:-1]).all():
            return False
    return True


def _check_same(spool: Spool) -> None:
    """Raises CondsimError where two layers were not recorded for the same tokens."""
    numbers = sorted(spool.layers)
    if not numbers:
        return
    first = spool.layers[numbers[0]]
    for number in numbers[1:]:
        other = spool.layers[number]
        if other.rows != first.rows or not _same_keys(first, other):
            raise CondsimError(
                f"layer {number} has {other.rows:,} rows and layer {numbers[0]} {first.rows:,}, "
                "not of the same tokens: the recording is truncated, or mixes models"
            )


def _same_keys(one: Layer, other: Layer) -> bool:
    for start in range(0, one.rows, BLOCK):
        ours, theirs = (layer.read("keys", start, start + BLOCK) for layer in (one, other))
        if not (ours == theirs).all():
            return False
    return True


def _runs(spool: Spool) -> Iterator[tuple[int, int]]:
    """(the upper half of a key, how many rows in a row have it)."""
    if not spool.layers:
        return
    layer = spool.layers[min(spool.layers)]
    upper, rows = -1, 0
    for start in range(0, layer.rows, BLOCK):
        keys = layer.read("keys", start, start + BLOCK)
        uppers, counts = np.unique(keys >> HALF, return_counts=True)
        for value, count in zip(uppers.tolist(), counts.tolist(), strict=True):
            if value == upper:
                rows += count
                continue
            if rows:
                yield upper, rows
            upper, rows = value, count
    if rows:
        yield upper, rows
