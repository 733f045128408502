"""What commands print: JSON that any reader takes, and progress that is silent in a file."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.harness import finite
from condsim.cli.output import plain, print_json, progress, suggest

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
NESTED = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20
)


@given(NESTED)
def test_any_value_becomes_json_without_nan(value: object) -> None:
    assert finite(json.loads(json.dumps(plain(value), allow_nan=False)))


@given(NESTED)
def test_what_is_plain_stays_as_it_is(value: object) -> None:
    assert plain(plain(value)) == plain(value)


def test_numpy_and_tables_become_numbers_and_rows() -> None:
    table = pd.DataFrame({"x": [1, 2], "y": [0.5, math.nan]})
    assert plain(table) == [{"x": 1, "y": 0.5}, {"x": 2, "y": None}]
    assert plain(np.float32(0.5)) == 0.5
    assert plain(np.arange(3)) == [0, 1, 2]
    assert plain((math.inf, "a")) == [None, "a"]


def test_json_says_its_schema_first(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"command": "test", "value": math.nan})
    printed = capsys.readouterr().out
    assert list(json.loads(printed).items()) == [
        ("schema_version", 1),
        ("command", "test"),
        ("value", None),
    ]


def test_progress_is_silent_where_nobody_watches(capsys: pytest.CaptureFixture[str]) -> None:
    with progress() as step:
        step("work", 1, 2)
        step("more work", 0.5)
    assert capsys.readouterr() == ("", "")


def test_suggestions_go_to_stderr_one_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    suggest("condsim one", "condsim two")
    assert capsys.readouterr() == ("", "next: condsim one\n      condsim two\n")
