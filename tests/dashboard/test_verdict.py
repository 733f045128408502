"""The verdict page, without a browser."""

from __future__ import annotations

from dataclasses import replace

import pytest

from condsim.dashboard import verdict
from condsim.dashboard.parts import cards
from condsim.predict.waterfall import WORLDS
from condsim.show.escape import code, markdown
from condsim.show.text import times
from condsim.study.answer import Answer


@pytest.mark.parametrize(
    ("interval", "colour"),
    [((1.5, 2.5), "green"), ((0.2, 0.9), "red"), ((0.9, 1.1), "orange")],
)
def test_the_badge_has_the_colour_of_the_verdict(
    captured: Answer, interval: tuple[float, float], colour: str
) -> None:
    prediction = replace(captured.prediction, speedup_interval=interval)
    assert verdict.headline(prediction).startswith(f"#### :{colour}-badge[")


def test_cards_say_what_their_numbers_rest_on(captured: Answer) -> None:
    shown = cards.cards(captured)
    assert [card.label.split(",")[0] for card in shown] == [
        "Over same-params",
        "Latency a step",
        "Energy a step",
        "Peak memory",
    ]
    assert shown[0].value == times(captured.prediction.speedup)
    for card, number in zip(shown, ("speedup", "latency_s", "energy_j", "peak_bytes"), strict=True):
        assert card.label.endswith(captured.prediction.bases[number])


def test_the_speedup_stands_beside_the_other_baseline_and_the_measurement(
    captured: Answer,
) -> None:
    same_flops = times(captured.speedups["same-flops"])
    assert captured.measured is not None
    measured = times(captured.measured["measured_speedup"])
    said = cards.other_speedups(captured)
    assert said == f"{same_flops} over same-flops, measured {measured} (repeat)"
    unmeasured = replace(captured, measured=None)
    assert cards.other_speedups(unmeasured) == f"{same_flops} over same-flops, not measured"


def test_what_costs_most_is_named_worst_first(captured: Answer) -> None:
    chain = captured.prediction.waterfall
    worst = chain.loc[chain["factor"].idxmin(), "world"]
    lines = verdict.what_costs_most(captured.prediction).splitlines()
    assert 1 <= len(lines) <= 3
    assert f"(`{worst}`)" in lines[0]


def test_a_measurement_is_told_with_its_error_and_its_noise(captured: Answer) -> None:
    assert captured.measured is not None
    quiet = replace(captured, measured={**captured.measured, "noisy": False})
    noisy = replace(captured, measured={**captured.measured, "noisy": True})
    said = verdict.what_was_measured(quiet, "mine")
    assert f"over {captured.measured['pairs']} pairs" in said
    assert "noisy" not in said
    assert "noisy" in verdict.what_was_measured(noisy, "mine")


def test_without_a_measurement_the_command_is_named(captured: Answer) -> None:
    said = verdict.what_was_measured(replace(captured, measured=None), "mine")
    assert "`condsim measure mine`" in said


def test_the_waterfall_has_a_bar_an_effect_the_prediction_and_the_measurement(
    captured: Answer,
) -> None:
    figure = verdict.waterfall_of(captured)
    assert list(figure.table["effect"]) == [*WORLDS, "predicted", "measured"]
    figure.chart.to_dict()  # raises for what the schema does not know


@pytest.mark.parametrize("name", ["![x](http://example.com/x.png)", ":red[x]", "$x$", "a `b` c"])
def test_names_are_no_markdown(captured: Answer, name: str) -> None:
    prediction = replace(captured.prediction, profile=name)
    assert name not in verdict.headline(prediction)
    assert markdown(name) in verdict.headline(prediction)
    unmeasured = replace(captured, measured=None)
    assert code(f"condsim measure '{name}'") in verdict.what_was_measured(unmeasured, name)
