"""Laws of how many tokens run: between those that stay and all, whatever the batch."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from condsim.mechanisms import MECHANISMS, Guards
from condsim.strategies import STRATEGIES, rows_that_run, strategies_for

TOKENS = 50
stays = st.lists(st.integers(1, TOKENS), min_size=1, max_size=24)


def guards(lengths: list[int], mechanism: str = "token_pruning", kept: int = 20) -> Guards:
    """One call of a site. lengths: tokens that stay in each unit."""
    table = np.array(lengths)[None, None]
    total = table.sum()
    return Guards(
        mechanism=MECHANISMS[mechanism],
        choices=np.array([1]),
        counts=np.array([[TOKENS * len(lengths) - total, total]]),
        arriving=np.array([TOKENS]),
        kept=np.array([[0, kept]]),
        lengths=table,
    )


def tokens(name: str, of: Guards) -> int:
    """Tokens of each unit that run."""
    return int(rows_that_run(name, of)[1][0, 0])


@given(stays)
def test_padded_runs_the_longest_and_masked_all(lengths: list[int]) -> None:
    of = guards(lengths)
    assert tokens("padded", of) == max(lengths)
    assert tokens("masked", of) == tokens("same-params", of) == TOKENS


@given(stays, st.integers(1, 200))
def test_as_many_in_every_unit_is_what_the_trace_keeps(lengths: list[int], kept: int) -> None:
    of = guards(lengths, kept=kept)
    assert tokens("gathered", of) == tokens("same-flops", of) == min(kept, TOKENS)
    merging = guards(lengths, "token_merging", kept)
    assert tokens("merged", merging) == tokens("gathered", of)


@settings(max_examples=40)
@given(stays, st.integers(0, 2**31))
def test_the_order_of_units_changes_nothing(lengths: list[int], seed: int) -> None:
    shuffled = np.random.default_rng(seed).permutation(lengths).tolist()
    for name in strategies_for("token_pruning"):
        assert tokens(name, guards(lengths)) == tokens(name, guards(shuffled)), name


def test_one_more_unit_never_makes_the_others_shorter() -> None:
    for name in ("padded", "masked", "bucketed", "cpu_tail", "select"):
        for longest in (1, 9, 17, TOKENS):
            assert tokens(name, guards([4, longest])) >= tokens(name, guards([4])), name


@pytest.mark.parametrize("mechanism", ["token_pruning", "token_merging"])
def test_a_device_of_fixed_sizes_has_those_that_keep_as_many(mechanism: str) -> None:
    able = set()
    for name in strategies_for(mechanism):
        if STRATEGIES[name].on(MECHANISMS[mechanism]).fits_device("tpu", static=True):
            able.add(name)
    assert "padded" not in able
    assert "sorted" not in able
    assert {"gathered", "bucketed"} <= able


def test_a_name_means_another_strategy_for_another_family() -> None:
    gathered = STRATEGIES["gathered"]
    assert gathered.on(MECHANISMS["sparse_activation"]).steered == "host"
    assert gathered.on(MECHANISMS["token_pruning"]).steered == ""
    assert not gathered.is_for(MECHANISMS["early_exit"])
    with pytest.raises(ValueError, match="'gathered' is registered twice"):
        STRATEGIES.register("gathered")(gathered)
