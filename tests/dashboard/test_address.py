"""Address, boxes and numbers are one: whatever was clicked, a fresh tab on the address shows it."""

from __future__ import annotations

import random
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from condsim.show.escape import markdown
from dashboard.test_pages import APP, GPU, assert_answers, opened

VERDICT, WATERFALL, TIMELINE = "verdict.py", "waterfall.py", "timeline.py"
DEVICES = ("amd-epyc-9655", "google-tpu-v4", "nvidia-a10g")


def on(page: str, **query: object) -> AppTest:
    """A fresh tab on an address."""
    app = AppTest.from_file(APP, default_timeout=300)
    app.switch_page(f"condsim/dashboard/{page}")
    app.query_params.update(query)
    return app.run()


def shown(app: AppTest) -> dict[str, Any]:
    """What boxes say, and the numbers beside them."""
    boxes = [*app.selectbox, *app.number_input, *app.get("button_group"), *app.multiselect]
    return {
        "boxes": {box.key: box.value for box in boxes if box.key},
        "cards": [(metric.label, metric.value, metric.delta) for metric in app.metric],
        "words": [element.value for element in (*app.main.markdown, *app.main.caption)],
        "commands": [code.value for code in app.code],
        "errors": [error.value for error in app.error],
    }


def assert_one(app: AppTest, page: str = VERDICT) -> None:
    """A fresh tab on the address shows the same, and finds nothing wrong with it."""
    fresh = on(page, **app.query_params)
    assert shown(fresh) == shown(app)
    assert fresh.query_params == app.query_params
    assert not fresh.warning


def any_box(app: AppTest, chance: random.Random) -> Any:
    """One of the boxes of the sidebar that has another value to offer."""
    lists = [box for box in app.sidebar.selectbox if len(box.options) > 1]
    return chance.choice([*lists, *app.sidebar.number_input])


def change(box: Any, chance: random.Random) -> None:
    """Give a box some value that it offers."""
    if hasattr(box, "options"):
        box.select(chance.choice(box.options))
    else:
        box.set_value(chance.choice([1, 4]) if box.key == "batch" else chance.choice([0.4, None]))


@pytest.mark.parametrize(("seed", "clicks"), [(1, 8), pytest.param(2, 60, marks=pytest.mark.slow)])
def test_after_random_clicks_a_fresh_tab_shows_the_same(seed: int, clicks: int) -> None:
    chance = random.Random(seed)
    app = opened(trace="exit-fashion")
    for click in range(1, clicks + 1):
        change(any_box(app, chance), chance)
        app.run()
        assert not app.exception
        if click % 4 == 0:
            assert_one(app)


def test_another_device_keeps_what_it_has_and_the_address_says_so() -> None:
    app = opened(trace="moe-bytes", device=GPU, strategy="grouped", dtype="fp8")
    assert_answers(app)
    for device in DEVICES:
        app.selectbox(key="device").select(device).run()
        assert_answers(app)
        assert app.query_params["device"] == device
    assert_one(app)


def test_another_trace_leaves_no_foreign_strategy_in_the_box() -> None:
    app = opened(trace="moe-bytes", strategy="grouped", batch=4)
    app.selectbox(key="trace").select("exit-fashion").run()
    assert app.selectbox(key="strategy").value == "compacted"
    assert app.number_input(key="batch").value == 4
    assert app.query_params == {"trace": "exit-fashion", "batch": "4"}
    said = markdown("strategy: grouped cannot be had here; showing compacted instead.")
    assert [warning.value for warning in app.warning] == [said]
    assert_one(app)


def test_only_runtimes_that_the_device_has_are_offered() -> None:
    app = opened(trace="moe-bytes", device=GPU)
    assert set(app.selectbox(key="runtime").options) == {
        "eager",
        "compiled",
        "served",
        "cuda_graphs",
    }
    app.selectbox(key="runtime").select("cuda_graphs").run()
    assert "looped" not in app.selectbox(key="strategy").options
    assert_answers(app)
    assert_one(app)


def test_a_trace_cannot_be_taken_away() -> None:
    app = opened(trace="moe-bytes", batch=4)
    before = shown(app)
    app.selectbox(key="trace").set_value(None).run()
    assert shown(app) == before
    assert app.query_params == {"trace": "moe-bytes", "batch": "4"}


def test_boxes_of_a_page_are_in_the_address_too() -> None:
    app = on(WATERFALL, trace="exit-fashion", second="true")
    app.selectbox(key="device2").select(GPU).run()
    app.number_input(key="batch").set_value(4).run()
    assert app.number_input(key="batch2").value == 4, "it follows the first scenario"
    assert app.query_params["device2"] == GPU
    assert_one(app, WATERFALL)


@pytest.mark.parametrize(
    ("page", "query"),
    [
        (
            VERDICT,
            {"batch": "2.5", "dtype": "fp4", "runtime": "xla", "baseline": "no", "threshold": "x"},
        ),
        (VERDICT, {"batch": "inf", "threshold": "nan", "phase": "decode", "strategy": "magic"}),
        (WATERFALL, {"off": "gravity", "second": "perhaps"}),
        (TIMELINE, {"parts": "tail", "shortest": "-1"}),
        ("accuracy.py", {"by": "mood", "cases": "mine", "own": "1"}),
        ("breakeven.py", {"x": "bach", "y": "none"}),
        (
            "compare.py",
            {"devices": "h", "strategies": "magic", "models": "m", "rank": "mood", "most_mb": "x"},
        ),
    ],
)
def test_what_a_link_asks_for_in_vain_is_said(page: str, query: dict[str, str]) -> None:
    app = on(page, trace="exit-fashion", **query)
    assert_answers(app)
    said = {warning.value.replace("\\", "") for warning in app.warning}
    assert len(said) == len(query)
    for key, word in query.items():
        assert any(key in warning and word in warning for warning in said) or key == "phase"
    assert app.query_params == {"trace": "exit-fashion"}


def test_a_threshold_of_a_trace_without_exits_is_said() -> None:
    app = opened(trace="moe-bytes", threshold=0.5)
    assert_answers(app)
    assert "threshold" in app.warning[0].value
    assert app.query_params == {"trace": "moe-bytes"}
