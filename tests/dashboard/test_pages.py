"""Every page on every shipped trace, without a browser: it answers, and its numbers are those of the command line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import altair as alt
import pytest
from streamlit.testing.v1 import AppTest

from benchmarks import gpu_tables
from condsim.cli import main
from condsim.dashboard import GIVEN
from condsim.dashboard.parts import layers
from condsim.resources import resource

APP = resource("app.py")
PAGES = sorted(p.name for p in (APP.parent / "condsim/dashboard").glob("[a-z]*.py"))
TRACES = sorted(p.parent.name for p in resource("traces").glob("*/trace.json"))
GPU = "nvidia-h100-sxm"


def opened(**query: object) -> AppTest:
    """The app as a link shows it."""
    app = AppTest.from_file(APP, default_timeout=300)
    for name, value in query.items():
        app.query_params[name] = str(value)
    return app.run()


def answers(app: AppTest) -> None:
    """Nothing went wrong, in the page or behind it."""
    assert not app.exception, app.exception[0].message
    assert not app.error, app.error[0].value


def test_without_a_trace_the_shipped_ones_are_buttons_that_answer_in_one_click() -> None:
    app = opened()
    answers(app)
    assert [b.key for b in app.button] == [f"open-{name}" for name in TRACES]
    assert "condsim.capture" in app.code[0].value
    app.button[0].click().run()
    answers(app)
    assert app.selectbox(key="trace").value == TRACES[0]
    assert app.metric


@pytest.mark.parametrize("trace", TRACES)
def test_every_page_shows_every_shipped_trace(trace: str) -> None:
    app = opened(trace=trace, xs="1,2", ys="0.5")
    for page in PAGES:
        app.switch_page(f"condsim/dashboard/{page}").run()
        answers(app)
        if page == "breakeven.py":
            assert not app.get("vega_lite_chart"), "it runs only when it is told to"
            app.button(key="run-breakeven").click().run()
            answers(app)
        charts = app.get("vega_lite_chart")
        assert charts, page
        for chart in charts:
            alt.Chart.from_dict(
                json.loads(chart.proto.spec)
            )  # raises for what the schema does not know
        assert app.code[0].value.startswith(("condsim", "for batch in")), page


def test_the_accuracy_page_shows_a_run_of_the_frozen_list() -> None:
    app = opened(trace="exit-fashion", cases="36 models of make accuracy")
    app.switch_page("condsim/dashboard/accuracy.py")
    app.query_params["cases"] = "36 models of make accuracy"
    app.run()
    answers(app)
    assert "over 248 rows" in app.markdown[0].value
    assert "make accuracy" in app.caption[0].value
    assert len(app.get("vega_lite_chart")) == 2


@pytest.mark.parametrize(
    ("trace", "flags"),
    [
        *((t, {}) for t in TRACES),
        ("moe-bytes", {"device": GPU, "baseline": "same-flops", "batch": 2}),
    ],
)
def test_app_command_line_and_json_agree_to_the_last_digit(
    trace: str, flags: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    app = opened(trace=trace, **flags)
    answers(app)
    command = [
        "condsim",
        "simulate",
        trace,
        *(part for name, value in flags.items() for part in (f"--{name}", str(value))),
    ]
    assert app.code[0].value == " ".join(command)
    assert main([*command[1:], "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    shown = app.dataframe[0].value.set_index("number")["conditional"]
    for name in (
        "latency_s",
        "latency_p50_s",
        "latency_p99_s",
        "energy_j",
        "peak_bytes",
        "flops_ratio",
    ):
        assert shown[name] == data[name]
    assert (
        list(shown[["speedup, 5th percentile", "speedup, 95th percentile"]])
        == data["speedup_interval"]
    )
    for baseline, speedup in data["speedups"].items():
        assert shown[f"speedup over {baseline}"] == speedup
    if data["measured"] is not None:
        assert shown["measured_speedup"] == data["measured"]["measured_speedup"]
    assert main(command[1:]) == 0
    text = capsys.readouterr().out
    for metric in app.metric:
        assert metric.value in text


def test_layers_that_others_measured_are_predicted_on_demand(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gpu_tables, "TABLES", gpu_tables.TABLES[-1:])
    monkeypatch.setattr(layers, "ROWS", 12)
    app = opened(trace="moe-bytes")
    app.switch_page("condsim/dashboard/accuracy.py").run()
    app.segmented_control(key="cases").set_value("GPU layers of others").run()
    answers(app)
    assert not app.get("vega_lite_chart"), "it runs only when it is told to"
    app.button(key="run-layers").click().run()
    answers(app)
    assert len(app.get("vega_lite_chart")) == 2
    table = gpu_tables.beside(gpu_tables.TABLES[-1], 12)
    assert any(
        f"Seconds of {len(table)} layers: median |error| {table['error'].abs().median():.1%}"
        in m.value
        for m in app.markdown
    )


def test_a_link_is_the_scenario() -> None:
    app = opened(
        trace="moe-bytes",
        device=GPU,
        batch=4,
        baseline="same-flops",
        strategy="grouped",
        dtype="fp32",
    )
    answers(app)
    link = next(c.value for c in app.code if "http" in c.value)
    again = opened(**dict(part.split("=", 1) for part in link.partition("?")[2].split("&")))
    assert [m.value for m in again.metric] == [m.value for m in app.metric]


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
    answers(app)
    assert said in app.warning[0].value


def test_the_given_trace_is_shown_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "mine"
    shutil.copytree(resource("traces") / "exit-fashion", folder)
    monkeypatch.setenv(GIVEN, str(folder))
    app = opened()
    answers(app)
    assert app.selectbox(key="trace").value == "mine"
    assert str(folder) in app.code[0].value


def test_a_trace_that_breaks_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "mine"
    shutil.copytree(resource("traces") / "exit-fashion", folder)
    (folder / "steps.parquet").write_bytes(b"PAR1")
    monkeypatch.setenv(GIVEN, str(folder))
    app = opened()
    assert not app.exception
    assert "steps.parquet is damaged" in app.error[0].value
