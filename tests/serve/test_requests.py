"""Requests: files that are refused in one line, and draws that repeat."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from condsim.errors import CondsimError
from condsim.serve.requests import Lengths, bursts, checked_requests, poisson, read_requests

GOOD = {"arrival_s": [0.0, 0.5, 0.5], "prompt_tokens": [3, 4, 5], "output_tokens": [1, 2, 3]}


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_file_is_read(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"requests{suffix}"
    table = pd.DataFrame(GOOD | {"who": ["a", "b", "c"]})
    table.to_csv(file, index=False) if suffix == ".csv" else table.to_parquet(file)
    requests = read_requests(file)
    assert requests.arrival_s.tolist() == GOOD["arrival_s"]
    assert requests.prompt_tokens.tolist() == GOOD["prompt_tokens"]
    assert requests.output_tokens.tolist() == GOOD["output_tokens"]
    assert requests.have_lengths


def test_arrivals_alone_are_enough() -> None:
    requests = checked_requests(pd.DataFrame({"arrival_s": [0, 1]}))
    assert not requests.have_lengths
    assert len(requests) == 2


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"arrival_s": [0.0, 2.0, 1.0]}, "arrival_s of request 2 is 1; .* sort the file"),
        ({"arrival_s": [-1.0, 0.0, 1.0]}, "arrival_s of request 0 is -1"),
        ({"arrival_s": [0.0, np.nan, 1.0]}, "arrival_s of request 1 is nan; .* a number"),
        ({"arrival_s": [0.0, np.inf, 1.0]}, "arrival_s of request 1 is inf"),
        ({"arrival_s": [0.0, 1.0, 2e9]}, r"arrival_s of request 2 is 2e\+09; .* from 0 to 1e\+09"),
        ({"arrival_s": ["0", "soon", "1"]}, "arrival_s of request 1 is 'soon'"),
        ({"prompt_tokens": [3, 0, 5]}, "prompt_tokens of request 1 is 0; .* at least 1"),
        ({"prompt_tokens": [3, 2.5, 5]}, "prompt_tokens of request 1 is 2.5"),
        ({"output_tokens": [3, -4, 5]}, "output_tokens of request 1 is -4"),
        ({"output_tokens": [3, 1e300, 5]}, "output_tokens of request 1 is 1e"),
        ({"cached_tokens": [0, 4, 0]}, "cached_tokens of request 1 is 4; .* less than the 4"),
        ({"cached_tokens": [0, -1, 0]}, "cached_tokens of request 1 is -1"),
    ],
)
def test_a_value_that_no_request_has(changed: dict[str, list[object]], said: str) -> None:
    with pytest.raises(CondsimError, match=said):
        checked_requests(pd.DataFrame(GOOD | changed))


def test_columns_that_are_missing() -> None:
    with pytest.raises(CondsimError, match="no column arrival_s; it has: prompt_tokens"):
        checked_requests(pd.DataFrame({"prompt_tokens": [1]}))
    with pytest.raises(CondsimError, match="has prompt_tokens but not the other"):
        checked_requests(pd.DataFrame({"arrival_s": [0.0], "prompt_tokens": [1]}))
    with pytest.raises(CondsimError, match="must have 1 to"):
        checked_requests(pd.DataFrame({"arrival_s": []}))


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(CondsimError, match="there is no file"):
        read_requests(tmp_path / "none.csv")
    with pytest.raises(CondsimError, match=r"ends in \.csv or \.parquet"):
        read_requests(tmp_path / "requests.json")
    damaged = tmp_path / "damaged.parquet"
    damaged.write_bytes(b"PAR1 and then nothing")
    with pytest.raises(CondsimError, match="damaged or truncated"):
        read_requests(damaged)
    empty = tmp_path / "empty.csv"
    empty.write_text("")
    with pytest.raises(CondsimError, match=r"empty\.csv"):
        read_requests(empty)


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
