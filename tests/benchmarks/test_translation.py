"""The factor of the most chrF a second; hooks that time each pass of a module."""

from __future__ import annotations

import pandas as pd
import torch

from benchmarks.translation import Passes, best_factors

CASES = pd.DataFrame(
    {
        "batch": [0, 0, 1, 1],
        "factor": [0.5, 2.0, 0.5, 2.0],
        "chrf": [20.0, 21.0, 20.0, 21.0],
        "prefill_s": [1.0, 1.2, 1.0, 1.0],
        "prefill_s_measured": [1.0, 1.2, 1.0, 1.25],
    }
)


def test_the_best_factor_is_that_of_the_most_quality_a_second() -> None:
    best = best_factors(CASES, "prefill_s")
    assert best["predicted"].tolist() == [0.5, 2.0]
    assert best["measured"].tolist() == [0.5, 0.5]
    assert best["by_quality"].tolist() == [2.0, 2.0]
    assert best["behind"].round(3).tolist() == [0.0, 0.16]


def test_each_pass_is_timed_once_and_given_once() -> None:
    passes = Passes()
    module = torch.nn.Linear(4, 4)
    passes.watch(module)
    for _ in range(3):
        module(torch.ones(1, 4))
    seconds = passes.take()
    assert len(seconds) == 3
    assert min(seconds) >= 0
    assert passes.take() == []
