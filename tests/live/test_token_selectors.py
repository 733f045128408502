"""Every strategy gives each unit its tokens, and each unit's result its place."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import condsim
from condsim.live.execution import Execution, executing

UNITS, TOKENS, HIDDEN = 9, 12, 3


def stays(seed: int) -> torch.Tensor:
    torch.manual_seed(seed)
    chosen = torch.rand(UNITS, TOKENS) < torch.rand(UNITS, 1)
    chosen[:, 0] = True
    return chosen


def sums(x: torch.Tensor, chosen: torch.Tensor, strategy: str, into: torch.Tensor | None = None):
    """The sum of each unit's tokens that run and count, and the tokens of a unit that ran."""
    mechanism = "token_pruning" if into is None else "token_merging"
    kept = {"keep": np.array([0, int(chosen.sum(1).max())])}
    with executing(Execution({mechanism: strategy}, rows_kept=kept)):
        condsim.route("keep", mechanism, chosen, into)
        out, ran = None, []
        for tokens in condsim.tokens("keep"):
            taken = tokens.take(x)
            ran.append(taken.shape[1])
            mask = tokens.mask
            counted = taken if mask is None else taken * mask[:, 0, 0, :, None]
            out = tokens.put(out, counted.sum(1))
    return out, ran


@pytest.mark.parametrize("strategy", ["padded", "sorted", "masked"])
@pytest.mark.parametrize("seed", range(4))
def test_units_get_the_tokens_that_stay(strategy: str, seed: int) -> None:
    chosen = stays(seed)
    x = torch.randn(UNITS, TOKENS, HIDDEN)
    found, ran = sums(x, chosen, strategy)
    torch.testing.assert_close(found, (x * chosen.unsqueeze(-1)).sum(1))
    longest = int(chosen.sum(1).max())
    expected = {"padded": [longest], "masked": [TOKENS]}
    assert ran == expected.get(strategy, sorted(ran, reverse=True))
    assert strategy != "sorted" or (ran[0] == longest and len(ran) == 4)


@pytest.mark.parametrize("strategy", ["padded", "sorted", "merged"])
def test_nothing_is_lost_where_tokens_merge(strategy: str) -> None:
    torch.manual_seed(0)
    kept = 8
    chosen = torch.zeros(UNITS, TOKENS, dtype=torch.bool)
    chosen[:, :kept] = True
    into = torch.randint(kept, (UNITS, TOKENS))
    x = torch.randn(UNITS, TOKENS, HIDDEN)
    found, ran = sums(x, chosen, strategy, into)
    torch.testing.assert_close(found, x.sum(1))
    assert set(ran) == {kept}


@pytest.mark.parametrize("baseline", ["same-params", "same-flops"])
def test_baselines_take_the_first_tokens(baseline: str) -> None:
    x = torch.randn(UNITS, TOKENS, HIDDEN)
    chosen = stays(0)
    found, ran = sums(x, chosen, baseline)
    kept = TOKENS if baseline == "same-params" else int(chosen.sum(1).max())
    assert ran == [kept]
    torch.testing.assert_close(found, x[:, :kept].sum(1))


@pytest.mark.parametrize("strategy", ["padded", "sorted", "masked", "gathered"])
def test_tokens_that_pass_by_stay_as_they_are(strategy: str) -> None:
    torch.manual_seed(0)
    chosen = torch.zeros(UNITS, TOKENS, dtype=torch.bool)
    chosen[:, 1::2] = True
    if strategy != "gathered":
        chosen[3] = False
        chosen[5, 0] = True
    x = torch.randn(UNITS, TOKENS, HIDDEN)
    expected = torch.where(chosen.unsqueeze(-1), x + 1, x)
    kept = {"depth": np.array([0, TOKENS // 2])}
    with executing(Execution({"mixture_of_depths": strategy}, rows_kept=kept)):
        condsim.route("depth", "mixture_of_depths", chosen)
        for tokens in condsim.tokens("depth"):
            x = tokens.back(x, tokens.take(x) + 1)
    torch.testing.assert_close(x, expected)


def test_the_slice_of_same_flops_goes_back_to_the_front() -> None:
    x = torch.randn(UNITS, TOKENS, HIDDEN)
    kept = {"depth": np.array([0, 5])}
    with executing(Execution({"mixture_of_depths": "same-flops"}, rows_kept=kept)):
        condsim.route("depth", "mixture_of_depths", lambda: stays(0))
        for tokens in condsim.tokens("depth"):
            y = tokens.back(x, tokens.take(x) + 1)
    assert torch.equal(y[:, :5], x[:, :5] + 1)
    assert torch.equal(y[:, 5:], x[:, 5:])
