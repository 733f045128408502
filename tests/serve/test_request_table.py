"""Requests out of files and tables; what none is gets one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from condsim.errors import CondsimError
from condsim.serve import request_table
from condsim.serve.request_table import checked_requests, read_requests

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


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_long_file_is_read_in_parts(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_table, "BLOCK", 3)
    file = tmp_path / f"requests{suffix}"
    table = pd.DataFrame({"arrival_s": np.arange(10) / 8})
    table.to_csv(file, index=False) if suffix == ".csv" else table.to_parquet(file)
    assert read_requests(file).arrival_s.tolist() == table["arrival_s"].tolist()
    table.loc[6, "arrival_s"] = 0.25
    table.to_csv(file, index=False) if suffix == ".csv" else table.to_parquet(file)
    with pytest.raises(CondsimError, match=r"arrival_s of request 6 is 0\.25; .* before, 0\.625"):
        read_requests(file)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_file_without_requests(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"requests{suffix}"
    table = pd.DataFrame({"arrival_s": np.zeros(0)})
    table.to_csv(file, index=False) if suffix == ".csv" else table.to_parquet(file)
    with pytest.raises(CondsimError, match="must have 1 to 10000000 requests, it has 0"):
        read_requests(file)
