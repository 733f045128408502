"""Decisions as columns of a file, and back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from condsim.errors import CondsimError
from condsim.trace.header import Site
from condsim.trace.model import Decisions, Reader

ROW_GROUP = 65536
"""Rows that are written and read at a time."""

Columns = dict[str, np.ndarray]


def id_dtype(branches: int) -> np.dtype:
    """Return the narrowest signed integers that hold the ids of so many branches, and -1."""
    return np.min_scalar_type(-max(branches, 1))


def in_memory(decisions: Mapping[str, Decisions]) -> Reader:
    """Return a reader over arrays, in blocks of the size that files have."""

    def read(site: str) -> Iterator[Decisions]:
        whole = decisions[site]
        for start in range(0, max(len(whole.ids), 1), ROW_GROUP):
            rows = slice(start, start + ROW_GROUP)
            weights = None if whole.weights is None else whole.weights[rows]
            scores = None if whole.scores is None else whole.scores[rows]
            yield Decisions(whole.ids[rows], weights, scores)

    return read


def encode(sites: Sequence[Site], blocks: Sequence[Decisions]) -> Columns:
    """Return the columns of one block. sites, blocks: those that share a file."""
    site, block = sites[0], blocks[0]
    if site.encoding == "depth":
        return _encode_depth(sites, blocks)
    if site.encoding == "bits":
        packed = np.packbits(block.ids, axis=1)
        return {f"bits_{i}": packed[:, i] for i in range(packed.shape[1])}
    columns = _encode_ids(site, block)
    if block.weights is not None:
        for j in range(block.weights.shape[1]):
            columns[f"weight_{j}"] = block.weights[:, j]
    if block.scores is not None:
        columns["score"] = block.scores
    return columns


def _encode_depth(sites: Sequence[Site], blocks: Sequence[Decisions]) -> Columns:
    """How many exits each row passed, and the scores of all exits."""
    passed = np.sum([block.ids == 1 for block in blocks], axis=0)
    columns = {"depth": passed.astype(id_dtype(len(sites) + 1))}
    for site, block in zip(sites, blocks, strict=True):
        if block.scores is not None:
            columns[f"score_{site.level}"] = block.scores.astype(np.float32)
    return columns


def _encode_ids(site: Site, block: Decisions) -> Columns:
    ids = block.ids.reshape(len(block.ids), -1)
    if len(ids) and (ids.min() < -1 or ids.max() >= site.branches):
        worst = int(ids.max() if ids.max() >= site.branches else ids.min())
        raise CondsimError(
            f"site {site.name!r} has {site.branches} branches, numbered from 0; a row took {worst}"
        )
    narrow = ids.astype(id_dtype(site.branches))
    return {f"id_{j}": narrow[:, j] for j in range(narrow.shape[1])}


def decode(site: Site, columns: Columns) -> Decisions:
    """Return one block of a site's decisions. Raises KeyError where a column is missing."""
    if site.encoding == "depth":
        depth = columns["depth"]
        goes_on = (depth > site.level).astype(np.int8)
        ids = np.where(depth < site.level, np.int8(-1), goes_on)
        return Decisions(ids, scores=columns.get(f"score_{site.level}"))
    if site.encoding == "bits":
        packed = np.stack([columns[f"bits_{i}"] for i in range(len(columns))], axis=1)
        bits = np.unpackbits(packed, axis=1, count=site.branches)
        return Decisions(bits.astype(bool))
    k = sum(name.startswith("id_") for name in columns)
    ids = np.stack([columns[f"id_{j}"] for j in range(k)]).T  # a column stays in one piece
    weights = None
    if "weight_0" in columns:
        weights = np.stack([columns[f"weight_{j}"] for j in range(k)], axis=1)
    if site.top_k is None:
        ids = ids[:, 0]
    return Decisions(ids, weights, columns.get("score"))
