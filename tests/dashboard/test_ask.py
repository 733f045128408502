"""The page that begins with a question, without a browser."""

from __future__ import annotations

import json

import pytest
from streamlit.testing.v1 import AppTest

from condsim.catalogue.parts.question import Question
from condsim.cli import main
from condsim.dashboard import ask
from condsim.dashboard.parts.models import asked_model
from condsim.dashboard.parts.scenario import Scenario
from condsim.resources import resource
from condsim.show.text import seconds, times
from condsim.study.answer import Answer

APP = resource("app.py")


def asked(**query: str) -> AppTest:
    """The page as a link shows it."""
    app = AppTest.from_file(APP, default_timeout=300)
    app.switch_page("condsim/dashboard/ask.py")
    for name, value in query.items():
        app.query_params[name] = value
    app.run()
    assert not app.exception, app.exception[0].message
    assert not app.error, app.error[0].value
    return app


def test_a_question_is_answered_with_the_numbers_of_the_command_that_it_names(
    capsys: pytest.CaptureFixture[str],
) -> None:
    app = asked(about="skip-fashion", on="raspberry-pi-5", load="my own", size="2")
    command = app.code[-1].value
    assert command == "condsim simulate skip-fashion --device raspberry-pi-5 --batch 2"
    assert main([*command.split()[1:], "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert app.metric[0].value == times(answer["speedup"])
    assert seconds(answer["baseline_s"]) in app.markdown[1].value
    link = next(code.value for code in app.code if "/ask?" in code.value)
    query = dict(part.split("=") for part in link.partition("?")[2].split("&"))
    assert query == {"about": "skip-fashion", "on": "raspberry-pi-5", "load": "my+own", "size": "2"}


def test_an_example_is_one_click() -> None:
    app = asked()
    app.button(key="example-Early exits on a Raspberry Pi").click().run()
    assert not app.error
    assert app.selectbox(key="about").value == "exit-fashion"
    assert app.query_params["on"] == "raspberry-pi-5"
    assert "raspberry-pi-5" in app.markdown[1].value


def test_requests_are_served() -> None:
    app = asked(about="branch-fashion", load="requests", rate="50")
    assert "requests/s" in app.markdown[1].value
    assert app.code[-1].value.startswith("condsim serve branch-fashion --poisson 50/s")


def test_where_the_two_baselines_disagree_both_are_said(captured: Answer) -> None:
    assert "Only the pair tells" in ask.pair_line(captured)
    alike = dict.fromkeys(captured.speedups, captured.prediction.speedup)
    agreeing = Answer(captured.prediction, alike, None, captured.profile)
    assert ask.pair_line(agreeing) == ""


def test_the_name_of_a_model_says_what_is_asked() -> None:
    found = asked_model("mixtral-8x7b decode 16x4096")
    assert found is not None
    assert found.question == Question(16, 4096, "decode")
    assert asked_model(found.name) == found
    assert found.words()[:3] == ["mixtral-8x7b", "--batch", "16"]
    scenario = Scenario(name=found.name, where=found.name)
    assert ask.title_of(scenario).endswith("(16 x 4,096 positions, decode)")


@pytest.mark.parametrize(
    "name",
    ["moe-bytes", "llama-2-7b decode 1x4096", "mixtral-8x7b train 1x2", "mixtral-8x7b decode 0x1"],
)
def test_other_names_are_no_model(name: str) -> None:
    assert asked_model(name) is None
