"""What commands print of a trace: its sites, its quality, and its measurements case by case."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pandas as pd
import pytest
from made_traces import make_trace

from condsim.cli.recorded import CASE, summary


def measured(batch: int, conditional_s: float, baseline_s: float) -> dict[str, Any]:
    case = dict(zip(CASE, ["looped", "dense", "prefill", batch, "repeat", "eager", 1], strict=True))
    return case | {"conditional_s": conditional_s, "baseline_s": baseline_s}


def test_pairs_of_one_case_are_one_row() -> None:
    pairs = [measured(2, 1.0, 4.0), measured(4, 5.0, 5.0), measured(2, 3.0, 4.0)]
    trace = make_trace().with_measurements(pd.DataFrame(pairs))
    small, large = summary(trace)["measurements"]
    assert (small["batch"], small["pairs"]) == (2, 2)
    assert (small["speedup"], small["latency_s"]) == pytest.approx((8 / 4, 2.0))
    assert (large["batch"], large["pairs"], large["speedup"]) == (4, 1, 1.0)


def test_a_trace_without_measurements_has_no_cases() -> None:
    about = summary(make_trace())
    assert (about["measurements"], about["by_segment"], about["quality"]) == ([], [], {})
    assert [site["name"] for site in about["sites"]] == ["experts", "exit0", "exit1", "blocks"]
    assert about["sites"][0] == {"name": "experts", "mechanism": "moe", "branches": 5, "top_k": 2}


def test_quality_is_the_mean_of_each_side_that_has_one() -> None:
    quality = pd.DataFrame({"conditional": [0.0, 1.0]})
    trace = replace(make_trace(), quality=quality)
    assert summary(trace)["quality"] == {"conditional": 0.5}
