"""Which rows of a table are used: what is left out by rule, and a sample picked by hash."""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd

SHAPE = ["hidden_size", "inter_size", "num_experts", "topk"]
SPLIT = ["moe_tp_size", "moe_ep_size"]
KEY = [*SHAPE, *SPLIT, "num_tokens", "distribution"]
UNGATED = {(2688, 1856), (1024, 2688), (2048, 5120), (8192, 5120)}
"""(hidden, inner) of layers with one up matrix."""


def _is(table: pd.DataFrame, hidden: int, inner: int, experts: int) -> pd.Series:
    """Which rows are of layers of these sizes."""
    same_matrix = (table.hidden_size == hidden) & (table.inter_size == inner)
    return same_matrix & (table.num_experts == experts)


def _tiny(table: pd.DataFrame) -> pd.Series:
    return table.inter_size // table.moe_tp_size < 128


def _lonely(table: pd.DataFrame) -> pd.Series:
    return table.num_experts // table.moe_ep_size < 2


def _grouped_top_k(table: pd.DataFrame) -> pd.Series:
    return _is(table, 7168, 2048, 256)


def _ties(table: pd.DataFrame) -> pd.Series:
    first = _is(table, 4096, 1024, 512) & (table.num_tokens == 48)
    second = _is(table, 2048, 5120, 512) & (table.num_tokens == 16)
    return first | second


RULES = {
    "fewer than 128 inner columns a rank: tiny misaligned matrices": _tiny,
    "fewer than 2 experts a rank": _lonely,
    "DeepSeek-V3's shape: its grouped top-k undoes the drawn routing": _grouped_top_k,
    "ties in the logits: faster than the memory allows": _ties,
}
"""Why rows are left out → which rows."""


def kept(table: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, int]]:
    """(rows that no rule leaves out, rule → rows that it leaves out); a row counts for the first
    rule that meets it. Repeats of a key become their mean."""
    out: dict[str, int] = {}
    for rule, of in RULES.items():
        bad = of(table)
        out[rule] = int(bad.sum())
        table = table[~bad]
    return table.groupby(KEY, as_index=False)["latency"].mean(), out


def sample(table: pd.DataFrame, rows: int) -> pd.DataFrame:
    """At least so many rows, evenly over shapes and splits, within each the first by hash of the
    row's key."""
    ranked = table.assign(_rank=hashes(table, KEY)).sort_values("_rank")
    alike = ranked.groupby(SHAPE + SPLIT)
    place = alike.cumcount()
    most = int(alike["latency"].transform("size").max())
    each = 1
    while each < most and int((place < each).sum()) < rows:
        each += 1
    picked = ranked[place < each].drop(columns="_rank")
    return picked.sort_values(KEY).reset_index(drop=True)


def hashes(table: pd.DataFrame, key: list[str]) -> pd.Series:
    """Return a hash of each row's key, so that nobody chose the order of the rows."""
    keys = table[key].astype(str).agg("|".join, axis=1)
    return keys.map(lambda text: hashlib.sha256(text.encode()).hexdigest())


def half(table: pd.DataFrame) -> np.ndarray:
    """Return the half of each row, int [rows] of 0 and 1: shapes in rising order, in turn."""
    shapes = list(table[SHAPE].itertuples(index=False, name=None))
    in_turn = {shape: place % 2 for place, shape in enumerate(sorted(set(shapes)))}
    return np.array([in_turn[shape] for shape in shapes])
