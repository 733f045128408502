"""Which rows of a table are used: what is left out by rule, and a sample picked by hash."""

from __future__ import annotations

import hashlib

import numpy as np
import pandas as pd

SHAPE = ["hidden_size", "inter_size", "num_experts", "topk"]
SPLIT = ["moe_tp_size", "moe_ep_size"]
KEY = [*SHAPE, *SPLIT, "num_tokens", "distribution"]
UNGATED = {
    (2688, 1856),
    (1024, 2688),
    (2048, 5120),
    (8192, 5120),
}  # (hidden, inner) of layers with one up matrix
RULES = {
    "fewer than 128 inner columns a rank: tiny misaligned matrices": lambda t: (
        t.inter_size // t.moe_tp_size < 128
    ),
    "fewer than 2 experts a rank": lambda t: t.num_experts // t.moe_ep_size < 2,
    "DeepSeek-V3's shape: its grouped top-k undoes the drawn routing": lambda t: (
        (t.hidden_size == 7168) & (t.inter_size == 2048) & (t.num_experts == 256)
    ),
    "ties in the logits: faster than the memory allows": lambda t: (
        (
            (t.hidden_size == 4096)
            & (t.inter_size == 1024)
            & (t.num_experts == 512)
            & (t.num_tokens == 48)
        )
        | (
            (t.hidden_size == 2048)
            & (t.inter_size == 5120)
            & (t.num_experts == 512)
            & (t.num_tokens == 16)
        )
    ),
}


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
    order = (
        table[KEY]
        .astype(str)
        .agg("|".join, axis=1)
        .map(lambda key: hashlib.sha256(key.encode()).hexdigest())
    )
    ranked = table.assign(_rank=order).sort_values("_rank")
    place = ranked.groupby(SHAPE + SPLIT).cumcount()
    size = ranked.groupby(SHAPE + SPLIT)["latency"].transform("size")
    each = next(
        (n for n in range(1, int(size.max()) + 1) if int((place < n).sum()) >= rows),
        int(size.max()),
    )
    return ranked[place < each].drop(columns="_rank").sort_values(KEY).reset_index(drop=True)


def half(table: pd.DataFrame) -> np.ndarray:
    """0 or 1 for each row: shapes in rising order, in turn. int [rows]."""
    shapes = {
        s: i % 2 for i, s in enumerate(sorted(set(table[SHAPE].itertuples(index=False, name=None))))
    }
    return np.array([shapes[s] for s in table[SHAPE].itertuples(index=False, name=None)])
