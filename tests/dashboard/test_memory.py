"""The page of memory, without a browser."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from gates.trained import small_mixture

import condsim
from condsim.dashboard import memory
from condsim.predict.prediction import Prediction
from condsim.study.answer import Answer
from condsim.study.memory_parts import ALL, memory_parts


def check(p: Prediction) -> None:
    """Parts add up to all, on both sides; the chart is valid."""
    table = memory_parts(p).set_index("part")
    for side, needed in (("conditional", p.peak_bytes), ("dense", p.baseline_peak_bytes)):
        column = table[f"{side}_bytes"]
        assert column[ALL] == needed == column.drop(ALL).sum()
    figure = memory.figure_of(memory_parts(p), p)
    figure.chart.to_dict()
    assert figure.draw().axes


def test_parts_of_a_step_add_up(captured: Answer) -> None:
    check(captured.prediction)
    assert memory.headline(captured.prediction).startswith("It fits: a step needs")
    assert memory.lines(captured.prediction) == []


@pytest.fixture(scope="module")
def trained() -> Prediction:
    """A training step of the gates' mixture."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model, inputs = small_mixture()
    trace = condsim.capture(
        model, [inputs | {"labels": inputs["input_ids"]}], measure=False, train=condsim.Training()
    )
    return condsim.simulate(trace, "nvidia-a10g")


def test_a_training_step_says_where_its_peak_is(trained: Prediction) -> None:
    check(trained)
    assert "a training step needs" in memory.headline(trained)
    assert memory.lines(trained)[0].startswith("The peak is in ")
    assert "gradients" in set(memory_parts(trained)["part"])


def test_what_does_not_fit_says_what_would(captured: Answer) -> None:
    p = captured.prediction
    small = [replace(each, device_bytes=1000.0) for each in p.memories]
    later = replace(p.later, memory=lambda: (small[0], small[1]))
    full = replace(p, later=later)
    assert memory.headline(full).startswith("It does not fit")
    assert "such devices" in memory.lines(full)[0]
