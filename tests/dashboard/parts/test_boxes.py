"""What boxes hold when their options, their defaults or the address change."""

from __future__ import annotations

import math
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from condsim.dashboard.parts.boxes import Number, OneOf, SomeOf, Ticked, Values, Written
from condsim.show.escape import markdown

ONE = OneOf("dtype", ["fp32", "bf16"], "fp32")
SOME = SomeOf("parts", ["a", "b"], [])
WHOLE = Number("batch", 8, 1, 64, whole=True)
ANY = Number("threshold", None)


@pytest.mark.parametrize(
    ("values", "words", "said"),
    [
        (ONE, ["bf16"], ""),
        (ONE, ["fp8"], "unknown dtype 'fp8'"),
        (SOME, ["a", "b"], ""),
        (SOME, [""], ""),
        (SOME, ["a", "c"], "unknown parts 'c'"),
        (WHOLE, ["64"], ""),
        (WHOLE, ["65"], "batch 65; it takes a whole number from 1 to 64"),
        (WHOLE, ["2.5"], "batch 2.5; it takes a whole number"),
        (WHOLE, ["inf"], "batch inf"),
        (WHOLE, ["many"], "batch many"),
        (ANY, ["-0.5"], ""),
        (ANY, ["nan"], "threshold nan"),
        (Number("most_ms", None, 0.0), ["-1"], "it takes a number of at least 0"),
        (Written(), ["anything"], ""),
        (Ticked("own"), ["TRUE"], ""),
        (Ticked("own"), ["1"], "unknown own '1'"),
    ],
)
def test_what_an_address_must_not_ask_for_is_said(
    values: Values, words: list[str], said: str
) -> None:
    problem = values.problem(words)
    assert said in problem
    assert bool(said) == bool(problem)


@pytest.mark.parametrize(
    ("values", "value", "words"),
    [
        (ONE, "fp32", []),
        (ONE, "bf16", ["bf16"]),
        (SOME, ["a", "b"], ["a", "b"]),
        (SomeOf("devices", ["a", "b"], ["a"]), [], [""]),
        (WHOLE, 8, []),
        (WHOLE, 5, ["5"]),
        (ANY, 0.5, ["0.5"]),
        (ANY, 1.0, ["1"]),
        (ANY, None, []),
        (Written(), "1, 2", ["1, 2"]),
        (Ticked("own"), True, ["true"]),
    ],
)
def test_an_address_names_what_is_not_the_default(
    values: Values, value: Any, words: list[str]
) -> None:
    assert values.words(value) == words
    assert not words or values.problem(words) == ""


@pytest.mark.parametrize(
    ("values", "value", "fitted"),
    [
        (ONE, "bf16", "bf16"),
        (ONE, "fp8", "fp32"),
        (SOME, ["c", "b"], ["b"]),
        (SomeOf("devices", ["a", "b"], ["a"]), ["c"], ["a"]),
        (SomeOf("devices", ["a", "b"], ["a"]), [], []),
        (WHOLE, 65, 8),
        (WHOLE, 64, 64),
        (ANY, math.inf, None),
    ],
)
def test_what_cannot_be_had_gives_way_to_the_default(
    values: Values, value: Any, fitted: Any
) -> None:
    assert values.fitted(value) == fitted


def devices_and_dtypes() -> None:
    """A page of two boxes, the second of which follows from the first."""
    import streamlit as st

    from condsim.dashboard.parts import boxes

    dtypes = {"cpu": ["fp32"], "gpu": ["bf16", "fp8", "fp32"], "old": ["fp32", "bf16"]}
    device = boxes.one_of("Device", list(dtypes), "cpu", "device")
    dtype = boxes.one_of("dtype", dtypes[device], dtypes[device][0], "dtype")
    st.write(f"{device} {dtype}")
    boxes.forget_problems()


def chosen(app: AppTest, key: str, option: str) -> AppTest:
    """The page after an option was chosen, whose boxes, address and words agree."""
    app.selectbox(key=key).select(option).run()
    assert not app.exception
    shown = f"{app.selectbox(key='device').value} {app.selectbox(key='dtype').value}"
    assert app.markdown[0].value == shown
    again = AppTest.from_function(devices_and_dtypes)
    again.query_params.update(app.query_params)
    assert again.run().markdown[0].value == shown
    assert not again.warning
    return app


def test_a_box_that_shows_its_default_follows_it() -> None:
    app = AppTest.from_function(devices_and_dtypes).run()
    assert chosen(app, "device", "gpu").markdown[0].value == "gpu bf16"
    assert app.query_params == {"device": "gpu"}


def test_what_was_chosen_stays_where_it_can_be_had() -> None:
    app = AppTest.from_function(devices_and_dtypes).run()
    chosen(app, "device", "gpu")
    chosen(app, "dtype", "fp8")
    assert app.query_params == {"device": "gpu", "dtype": "fp8"}
    assert chosen(app, "device", "old").markdown[0].value == "old fp32"
    said = markdown("dtype: fp8 cannot be had here; showing fp32 instead.")
    assert app.warning[0].value == said
    assert app.query_params == {"device": "old"}
    chosen(app, "dtype", "bf16")
    assert chosen(app, "device", "gpu").markdown[0].value == "gpu bf16"
    assert app.query_params == {"device": "gpu"}


def test_every_vain_part_of_an_address_is_said_and_taken_out_of_it() -> None:
    app = AppTest.from_function(devices_and_dtypes)
    app.query_params.update({"device": "tpu", "dtype": "fp4"})
    app.run()
    device, dtype = (warning.value for warning in app.warning)
    assert device.startswith("The link names unknown device 'tpu'; did you mean 'gpu'")
    assert dtype.startswith("The link names unknown dtype 'fp4'; did you mean 'fp32'?")
    assert dtype.endswith("Showing the default instead.")
    assert app.markdown[0].value == "cpu fp32"
    assert app.query_params == {}
    assert not app.run().warning
