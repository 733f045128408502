"""Requests: draws that repeat, whatever their number."""

from __future__ import annotations

import numpy as np
import pytest

from condsim.errors import CondsimError
from condsim.serve import columns
from condsim.serve.requests import Lengths, bursts, poisson


def test_draws_repeat_and_follow_their_rate() -> None:
    lengths = Lengths(10, 20), Lengths(1, 1)
    one, again = (poisson(50.0, 20_000, *lengths, seed=3) for _ in range(2))
    assert one.arrival_s.tobytes() == again.arrival_s.tobytes()
    assert one.prompt_tokens.tobytes() == again.prompt_tokens.tobytes()
    assert poisson(50.0, 20_000, *lengths, seed=4).arrival_s.tobytes() != one.arrival_s.tobytes()
    assert one.rate == pytest.approx(50, rel=0.03)
    assert (one.prompt_tokens.min(), one.prompt_tokens.max()) == (10, 20)


def test_bursts_come_together() -> None:
    assert bursts(2, 0.5, 5).arrival_s.tolist() == [0.0, 0.0, 0.5, 0.5, 1.0]


@pytest.mark.parametrize("rate", [0.0, -1.0, np.nan, np.inf, "fast"])
def test_a_rate_that_none_is(rate: float) -> None:
    with pytest.raises(CondsimError, match="rate must be a number above 0"):
        poisson(rate, 10)


def test_other_draws_that_are_refused() -> None:
    with pytest.raises(CondsimError, match="would arrive after"):
        poisson(1e-9, 10)
    with pytest.raises(CondsimError, match="count must be a whole number from 1"):
        poisson(1.0, 0)
    with pytest.raises(CondsimError, match="size must be a whole number of at least 1"):
        bursts(0, 1.0, 10)
    with pytest.raises(CondsimError, match="seconds between bursts must be a number above 0"):
        bursts(1, 0.0, 10)
    with pytest.raises(CondsimError, match="the least stands first, got 3-2"):
        Lengths(3, 2)
    with pytest.raises(CondsimError, match="of both prompts and answers, or of neither"):
        poisson(1.0, 10, Lengths(1, 2))


def test_many_requests_are_drawn_as_some_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers that stand in a file, drawn a block at a time, are those of one draw."""
    lengths = Lengths(10, 2000), Lengths(1, 300)
    whole = poisson(50.0, 5000, *lengths, seed=3)
    arrive = np.cumsum(np.random.default_rng(3).exponential(1 / 50, 5000))
    np.testing.assert_array_equal(whole.arrival_s, arrive)
    monkeypatch.setattr(columns, "BLOCK", 999)
    monkeypatch.setattr(columns, "IN_MEMORY", 100)
    in_file = poisson(50.0, 5000, *lengths, seed=3)
    for name in ("arrival_s", "prompt_tokens", "output_tokens", "cached_tokens"):
        np.testing.assert_array_equal(getattr(in_file, name), getattr(whole, name))
    assert bursts(7, 0.5, 5000).arrival_s.tolist() == (np.arange(5000) // 7 * 0.5).tolist()
    assert in_file.longest == int((whole.prompt_tokens + whole.output_tokens).max())
