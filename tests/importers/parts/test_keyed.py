"""Rows that name their token are sorted by it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from condsim.errors import CondsimError
from condsim.importers.parts.keyed import KeyedFile, key_of, settle
from condsim.importers.parts.spool import Spool


def spool_of(*layers: tuple[list[int], list[int]]) -> Spool:
    """layers: (sequence, token) of each row; its id is the token."""
    spool = Spool()
    for number, (sequences, tokens) in enumerate(layers):
        keys = key_of(np.array(sequences), np.array(tokens))
        spool.add(number, np.array(tokens)[:, None], keys=keys)
    return spool


FILES = [KeyedFile(Path("a.jsonl"), 0)]


def test_rows_come_in_the_order_of_sequences_and_tokens() -> None:
    spool = spool_of(([1, 0, 0, 1], [1, 1, 0, 0]))
    settle(spool, FILES)
    assert spool.layers[0].read("ids")[:, 0].tolist() == [0, 1, 0, 1]
    assert [(units, seq) for _, units, seq, _ in spool.steps] == [(1, 2), (1, 2)]


def test_a_token_that_is_there_twice_is_refused() -> None:
    with pytest.raises(CondsimError, match="layer 0 has a token twice"):
        settle(spool_of(([0, 0], [3, 3])), FILES)


def test_layers_of_other_tokens_are_refused() -> None:
    with pytest.raises(CondsimError, match="not of the same tokens"):
        settle(spool_of(([0, 0], [0, 1]), ([0, 0], [0, 2])), FILES)


def test_where_the_upper_half_numbers_steps_a_step_decodes() -> None:
    spool = spool_of(([0, 0, 1], [0, 1, 0]))
    settle(spool, [KeyedFile(Path("a.jsonl"), 0, are_steps=True)])
    assert [(phase, units) for phase, units, _, _ in spool.steps] == [("decode", 2), ("decode", 1)]
