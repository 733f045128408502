"""Every page on every shipped trace, without a browser.

It answers, and its numbers are those of the command line.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import altair as alt
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

import condsim
from benchmarks import gpu_tables
from condsim.cli import main
from condsim.cli.browser import GIVEN
from condsim.dashboard.accuracy import runs_of_make_accuracy
from condsim.dashboard.parts import layers
from condsim.dashboard.parts.fields import phases_of
from condsim.resources import resource

APP = resource("app.py")
PAGES = sorted(p.name for p in (APP.parent / "condsim/dashboard").glob("[a-z]*.py"))
TRACES = sorted(p.parent.name for p in resource("traces").glob("*/trace.json"))
MEASURED = [name for name in TRACES if (resource("traces") / name / "profile.yaml").exists()]
"""Traces that carry a machine, and what was measured on it."""
GPU = "nvidia-h100-sxm"
SUITE = "models of make accuracy"
LAYERS = "GPU layers of others"
TRAINED = "moe-bytes-train"
SAME_NAME = (
    "latency_s",
    "latency_p50_s",
    "latency_p99_s",
    "energy_j",
    "peak_bytes",
    "flops_ratio",
)
"""Numbers that the page and the command line call by the same name."""
INTERVAL = ["speedup, 5th percentile", "speedup, 95th percentile"]


def opened(**query: object) -> AppTest:
    """The app as a link shows it."""
    app = AppTest.from_file(APP, default_timeout=300)
    for name, value in query.items():
        app.query_params[name] = str(value)
    return app.run()


def assert_answers(app: AppTest) -> None:
    """Nothing went wrong, in the page or behind it."""
    assert not app.exception, app.exception[0].message
    assert not app.error, app.error[0].value


def charts_of(app: AppTest) -> Any:
    """The charts on a page."""
    return app.get("vega_lite_chart")


def test_without_a_trace_the_shipped_ones_are_buttons_that_answer_in_one_click(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # where no demo has left its traces
    app = opened()
    assert_answers(app)
    shown = [button.key for button in app.button if button.key.startswith("open-")]
    assert shown == [f"open-{name}" for name in TRACES]
    assert any("condsim.capture" in code.value for code in app.code)
    app.button(key=shown[0]).click().run()
    assert_answers(app)
    assert app.selectbox(key="trace").value == TRACES[0]
    assert app.metric


@pytest.mark.parametrize("trace", MEASURED)
def test_every_page_shows_every_shipped_trace(trace: str) -> None:
    app = opened(trace=trace, xs="1,2", ys="0.5")
    for page in PAGES:
        app.switch_page(f"condsim/dashboard/{page}").run()
        assert_answers(app)
        if page == "breakeven.py":
            assert not charts_of(app), "it runs only when it is told to"
            app.button(key="run-breakeven").click().run()
            assert_answers(app)
            app.run()  # what is done stays
        if page == "serving.py" and trace == TRAINED:
            assert "training steps" in app.info[0].value
            continue
        assert charts_of(app), page
        for chart in charts_of(app):
            specification = json.loads(chart.proto.spec)
            alt.Chart.from_dict(specification)  # raises for what the schema does not know
        assert app.code[0].value.startswith(("condsim", "for batch in")), page


def test_the_accuracy_page_shows_a_run_of_the_frozen_list() -> None:
    app = opened(trace="exit-fashion", cases=SUITE)
    app.switch_page("condsim/dashboard/accuracy.py")
    app.query_params["cases"] = SUITE
    app.run()
    assert_answers(app)
    newest = runs_of_make_accuracy()[0]
    assert f"over {len(pd.read_parquet(newest))} rows" in app.markdown[0].value
    assert "make accuracy" in app.caption[0].value
    assert len(charts_of(app)) == 2


@pytest.mark.parametrize(
    ("trace", "flags"),
    [
        *((trace, {}) for trace in MEASURED),
        ("moe-bytes", {"device": GPU, "baseline": "same-flops", "batch": 2}),
    ],
)
def test_app_command_line_and_json_agree_to_the_last_digit(
    trace: str, flags: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    app = opened(trace=trace, **flags)
    assert_answers(app)
    if len(phases := phases_of(condsim.load(resource("traces") / trace))) > 1:
        flags = {"phase": phases[0], **flags}  # the page shows the first, the command asks for one
    command = ["simulate", trace]
    for name, value in flags.items():
        command += [f"--{name}", str(value)]
    assert app.code[0].value == " ".join(["condsim", *command])

    assert main([*command, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    shown = app.dataframe[0].value.set_index("number")["conditional"]
    for name in SAME_NAME:
        assert shown[name] == answer[name]
    assert list(shown[INTERVAL]) == answer["speedup_interval"]
    for baseline, speedup in answer["speedups"].items():
        assert shown[f"speedup over {baseline}"] == speedup
    if answer["measured"] is not None:
        measured = answer["measured"]["measured_speedup"]
        assert shown["measured_speedup"] == measured

    assert main(command) == 0
    text = capsys.readouterr().out
    for metric in app.metric:
        assert metric.value in text


def test_layers_that_others_measured_are_predicted_on_demand(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    last = gpu_tables.TABLES[-1]
    monkeypatch.setattr(gpu_tables, "TABLES", (last,))
    monkeypatch.setattr(layers, "ROWS", 12)
    app = opened(trace="moe-bytes")
    app.switch_page("condsim/dashboard/accuracy.py").run()
    app.segmented_control(key="cases").set_value(LAYERS).run()
    assert_answers(app)
    assert not charts_of(app), "it runs only when it is told to"
    app.button(key="run-layers").click().run()
    assert_answers(app)
    assert len(charts_of(app)) == 2
    table = gpu_tables.beside(last, 12)
    median = table["error"].abs().median()
    line = f"Seconds of {len(table)} layers: median |error| {median:.1%}"
    assert any(line in markdown.value for markdown in app.markdown)


def test_a_link_is_the_scenario() -> None:
    app = opened(
        trace="moe-bytes",
        device=GPU,
        batch=4,
        baseline="same-flops",
        strategy="grouped",
        dtype="fp32",
    )
    assert_answers(app)
    link = next(code.value for code in app.code if "http" in code.value)
    query = link.partition("?")[2]
    again = opened(**dict(part.split("=", 1) for part in query.split("&")))
    assert [metric.value for metric in again.metric] == [metric.value for metric in app.metric]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"trace": "moe-byte"}, "did you mean 'moe-bytes'"),
        ({"trace": "moe-bytes", "device": "h100"}, GPU),
        ({"trace": "moe-bytes", "batch": "99999"}, "batch 99999"),
        ({"trace": "moe-bytes", "batch": "many"}, "batch many"),
        ({"trace": "moe-bytes", "strategy": "magic"}, "unknown strategy 'magic'"),
    ],
)
def test_a_link_to_what_is_not_here_says_so(query: dict[str, Any], said: str) -> None:
    app = opened(**query)
    assert_answers(app)
    assert said in app.warning[0].value


def test_a_second_scenario_keeps_what_it_shares_with_the_first() -> None:
    app = opened(trace="moe-bytes", batch=4)
    app.switch_page("condsim/dashboard/waterfall.py").run()
    app.toggle(key="second").set_value(True).run()
    assert_answers(app)
    assert len(charts_of(app)) == 2
    captions = [caption.value for caption in app.main.caption if caption.value.endswith("batch 4")]
    assert len(captions) == 2
    app.selectbox(key="device2").set_value(GPU).run()
    assert_answers(app)
    assert any(f"moe-bytes, {GPU}" in caption.value for caption in app.main.caption)


@pytest.fixture
def given_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A trace of the user, which the app is started with."""
    folder = tmp_path / "mine"
    shutil.copytree(resource("traces") / "exit-fashion", folder)
    monkeypatch.setenv(GIVEN, str(folder))
    return folder


def test_the_given_trace_is_shown_first(given_folder: Path) -> None:
    app = opened()
    assert_answers(app)
    assert app.selectbox(key="trace").value == "mine"
    assert str(given_folder) in app.code[0].value


def test_a_trace_that_breaks_is_one_line(given_folder: Path) -> None:
    (given_folder / "steps.parquet").write_bytes(b"PAR1")
    app = opened()
    assert not app.exception
    assert "steps.parquet is damaged" in app.error[0].value
