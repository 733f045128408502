"""Decoders whose tokens leave at exits: as many layers as published, in steps that follow."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import condsim
from condsim.catalogue import CatalogueModel
from condsim.catalogue.forms.exit_decoder import leaving_share
from condsim.catalogue.parts.question import Question, trace_of
from condsim.errors import CondsimError
from condsim.trace import Trace

EXITING = CatalogueModel(
    name="tiny-exiting",
    title="Tiny decoder with an exit",
    form="exit_decoder",
    config={
        "vocabulary": 64,
        "hidden": 32,
        "heads": 4,
        "width": 48,
        "layers": 3,
        "exits": (1, 2),
        "max_seq": 96,
        "mean_layers": 2.0,
    },
    parameters=1e5,
    source="made",
    licence="none",
    routing="made",
)


@pytest.fixture(scope="module")
def trace(cache: Path) -> Trace:
    return trace_of(EXITING, Question(batch=32, context=64))


def test_tokens_run_as_many_layers_as_asked() -> None:
    ends, mean = (8, 16, 24, 32), 23.45
    share = leaving_share(ends, mean)
    rng = np.random.default_rng(0)
    passed = rng.random((200_000, 3)) >= share
    layers = np.array(ends)[np.cumprod(passed, axis=1).sum(1)]
    assert layers.mean() == pytest.approx(mean, abs=0.1)


def test_steps_follow_each_other_up_to_the_context(trace: Trace) -> None:
    assert trace.steps["past"].diff().dropna().eq(1).all()
    assert trace.steps["past"].iloc[-1] == 63


def test_who_left_reaches_no_later_exit(trace: Trace) -> None:
    first, second = (trace.decisions(site.name).ids for site in trace.sites)
    np.testing.assert_array_equal(second == -1, first == 0)


def test_it_runs_fewer_layers(trace: Trace) -> None:
    prediction = condsim.simulate(trace, "nvidia-h100-sxm", runtime="eager")
    assert prediction.strategy == "projected"
    assert prediction.executed_flops < prediction.baseline_flops


@pytest.mark.parametrize(
    ("question", "said"),
    [
        (Question(context=64, phase="prefill"), "decides while it decodes only, got 'prefill'"),
        (Question(context=97), "context must be at most 96, the positions of tiny-exiting, got 97"),
    ],
)
def test_what_it_cannot_be_asked_is_said(question: Question, said: str) -> None:
    with pytest.raises(CondsimError, match=said):
        trace_of(EXITING, question)
