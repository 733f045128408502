"""Decisions as columns of a file, and back."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from condsim.errors import CondsimError
from condsim.mechanisms.base import NOT_REACHED
from condsim.trace.header import Site
from condsim.trace.model import Decisions, Reader

ROW_GROUP = 65536
"""Rows that are written and read at a time."""
INTEGERS = ("int8", "int16", "int32", "int64")
FLOATING = ("float", "double")

Columns = dict[str, np.ndarray]

ID = "id_"
"""How the names of the columns of ids begin; the number of the choice follows."""
DEPTH = "depth"
"""The column that says how many exits a row passed."""


def id_dtype(branches: int) -> np.dtype:
    """Return the narrowest signed integers that hold the ids of so many branches, and -1."""
    return np.min_scalar_type(-max(branches, 1))


def compression_of(column: str) -> str:
    """Return how a column of decisions is compressed in its file.

    Ids are packed to their bits already, and all of them are read to be counted, so that theirs is
    the fastest to read.
    """
    return "lz4" if column == DEPTH or column.startswith(ID) else "zstd"


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
    columns = {DEPTH: passed.astype(id_dtype(len(sites) + 1))}
    for site, block in zip(sites, blocks, strict=True):
        if block.scores is not None:
            columns[f"score_{site.level}"] = block.scores.astype(np.float32)
    return columns


def _encode_ids(site: Site, block: Decisions) -> Columns:
    ids = block.ids.reshape(len(block.ids), -1)
    narrow = ids.astype(id_dtype(site.branches))
    return {f"{ID}{j}": narrow[:, j] for j in range(narrow.shape[1])}


def stored_columns(site: Site, present: Mapping[str, str], file: object) -> list[str]:
    """Return the columns of a file that hold a site's decisions.

    present: name → Arrow's name of the type, of all columns of the file.
    Raises CondsimError where one is missing or of another type.
    """
    needed, allowed, numbers = _columns_of(site)
    names = [*needed, *(name for name in numbers if name in present)]
    for name in names:
        types = allowed if name in needed else FLOATING
        if present.get(name) not in types:
            found = present.get(name, "missing")
            raise CondsimError(
                f"{file}: column {name} of site {site.name!r} must be one of "
                f"{', '.join(types)}, is {found}; the trace is damaged, capture it again"
            )
    of_decisions = [name for name in present if name.startswith(("id_", "bits_"))]
    extra = [name for name in of_decisions if name not in needed]
    if extra:
        raise CondsimError(
            f"{file} has a column {extra[0]} that site {site.name!r} has no place for; "
            "the trace is damaged, capture it again"
        )
    return names


def _columns_of(site: Site) -> tuple[list[str], tuple[str, ...], list[str]]:
    """(columns that a site needs, their types, columns of numbers that it may have)."""
    if site.encoding == "depth":
        return ["depth"], INTEGERS, [f"score_{site.level}"]
    if site.encoding == "bits":
        return [f"bits_{i}" for i in range(-(-site.branches // 8))], ("uint8",), []
    k = site.top_k or 1
    weights = [f"weight_{j}" for j in range(k)] if site.top_k else []
    return [f"id_{j}" for j in range(k)], INTEGERS, [*weights, "score"]


def decode(site: Site, columns: Columns) -> Decisions:
    """Return one block of a site's decisions. columns: those of `stored_columns`."""
    if site.encoding == "depth":
        depth = columns[DEPTH]
        goes_on = (depth > site.level).astype(np.int8)
        ids = np.where(depth < site.level, np.int8(-1), goes_on)
        return Decisions(ids, scores=columns.get(f"score_{site.level}"))
    if site.encoding == "bits":
        packed = np.stack([columns[f"bits_{i}"] for i in range(len(columns))], axis=1)
        bits = np.unpackbits(packed, axis=1, count=site.branches)
        return Decisions(bits.astype(bool))
    k = site.top_k or 1
    ids = np.stack([columns[f"{ID}{j}"] for j in range(k)]).T  # a column stays in one piece
    weights = None
    if "weight_0" in columns:
        weights = np.stack([columns[f"weight_{j}"] for j in range(k)], axis=1)
    if site.top_k is None:
        ids = ids[:, 0]
    return Decisions(ids, weights, columns.get("score"))


def check_depth(depth: np.ndarray, exits: int) -> None:
    """Raises ValueError for a row that passed fewer than no exits, or more than there are."""
    if len(depth) and (depth.min() < 0 or depth.max() > exits):
        outside = depth.max() if depth.max() > exits else depth.min()
        worst = int(outside)
        raise ValueError(f"there are {exits} exits; a row passed {worst}")


def check_block(site: Site, block: Decisions) -> None:
    """Raises ValueError for decisions that a site cannot have."""
    rows, width = len(block.ids), site.top_k or 1
    if site.encoding == "bits":
        if block.ids.dtype != bool or block.ids.shape != (rows, site.branches):
            raise ValueError(f"site {site.name!r} needs bool [rows, {site.branches}]")
        return
    if block.ids.size != rows * width or block.ids.dtype.kind not in "iu":
        raise ValueError(
            f"site {site.name!r} needs {width} whole numbers a row, "
            f"got {block.ids.dtype} {list(block.ids.shape)}"
        )
    _check_ids(site, block.ids.reshape(rows, width))
    if block.weights is not None:
        _check_weights(site, block.weights, rows, width)
    if block.scores is not None and bool(np.isinf(block.scores).any()):
        raise ValueError(f"a score at site {site.name!r} is infinite")


def _check_ids(site: Site, ids: np.ndarray) -> None:
    if not len(ids):
        return
    lowest, highest = int(ids.min()), int(ids.max())
    if lowest < NOT_REACHED or highest >= site.branches:
        worst = highest if highest >= site.branches else lowest
        raise ValueError(
            f"site {site.name!r} has {site.branches} branches, numbered from 0; a row took {worst}"
        )
    columns = [ids[:, j] for j in range(ids.shape[1])]
    for one, other in itertools.combinations(columns, 2):
        same = one == other
        if same.any() and bool((one[same] != NOT_REACHED).any()):
            raise ValueError(f"a row took one branch of site {site.name!r} twice")


def _check_weights(site: Site, weights: np.ndarray, rows: int, width: int) -> None:
    if weights.shape != (rows, width):
        raise ValueError(f"site {site.name!r} needs a weight for each of {width} branches a row")
    if not bool(np.isfinite(weights).all()):
        raise ValueError(f"a weight at site {site.name!r} is not finite")
