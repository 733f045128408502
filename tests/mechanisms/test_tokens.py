"""Decisions about tokens that are drawn, and how many stay on the mean."""

from __future__ import annotations

import numpy as np
import pytest

from condsim.mechanisms import MECHANISMS, Draw
from condsim.mechanisms.tokens import Tokens

UNITS, TOKENS = 6, 20
DRAW = Draw(UNITS * TOKENS, 2, units=UNITS)


def token_mechanisms() -> list[Tokens]:
    return [kind for kind in MECHANISMS.values() if isinstance(kind, Tokens)]


@pytest.mark.parametrize("kind", token_mechanisms(), ids=lambda kind: kind.name)
def test_the_first_tokens_of_every_unit_stay_while_probing(kind: Tokens) -> None:
    rng = np.random.default_rng(0)
    for share in (0.0, 0.5, 1.0):
        ids, weights = kind.probe_decisions(DRAW, share, 0, rng)
        stays = ids.reshape(UNITS, TOKENS)
        assert weights is None
        assert (stays[:, : kind.fewest] == 1).all()
        assert abs(stays[:, kind.fewest :].mean() - share) < 0.2
        kept = kind.probe_kept(DRAW, share, ids)
        assert kind.fewest <= kept[1] <= TOKENS


@pytest.mark.parametrize("kind", token_mechanisms(), ids=lambda kind: kind.name)
def test_rows_are_tokens_of_one_unit(kind: Tokens) -> None:
    assert kind.rows_at(np.array([1, 32]), TOKENS).tolist() == [TOKENS, TOKENS]
    assert kind.rows_kept(np.array([0.4, 0.6]), TOKENS).tolist() == [8, 12]
    assert kind.rows_kept(np.array([1.0, 0.0]), TOKENS)[1] == kind.fewest
    assert kind.fixed in kind.marked
    assert kind.alone in kind.marked
