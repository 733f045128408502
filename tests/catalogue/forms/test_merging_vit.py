"""Vision transformers that merge tokens by a schedule: recorded without weights, nothing drawn."""

from __future__ import annotations

from pathlib import Path

import pytest

import condsim
from condsim.catalogue import CatalogueModel
from condsim.catalogue.parts.question import Question, trace_of
from condsim.program.regime import PREFILL
from condsim.trace import Trace

LAYERS, MERGED, TOKENS = 3, 5, 17
MERGING = CatalogueModel(
    name="tiny-merging",
    title="Tiny ViT that merges",
    form="merging_vit",
    config={"layers": LAYERS, "width": 32, "heads": 2, "merged": MERGED, "image": 64},
    parameters=1e5,
    source="made",
    licence="none",
    routing="a schedule",
)


@pytest.fixture(scope="module")
def trace(cache: Path) -> Trace:
    return trace_of(MERGING, Question(batch=4))


def test_images_are_asked_about_as_a_whole(trace: Trace) -> None:
    question = Question(batch=4).of(MERGING)
    assert (question.phase, question.context) == (PREFILL, 1)
    assert set(trace.steps["seq"]) == {1}
    assert [site.unit_rows.of(1) for site in trace.sites] == [TOKENS] * LAYERS


def test_each_block_merges_what_its_schedule_says(trace: Trace) -> None:
    left = []
    for site in trace.sites:
        ids = trace.decisions(site.name).ids.reshape(-1, TOKENS)
        left.append({int(stay) for stay in (ids == 1).sum(1)})
    assert left == [{12}, {7}, {4}]  # never more than half of those that may go


def test_fewer_tokens_are_fewer_flops_than_all(trace: Trace) -> None:
    prediction = condsim.simulate(trace, "nvidia-v100-sxm2", batch=4)
    assert prediction.strategy == "merged"
    assert prediction.executed_flops < prediction.baseline_flops
    assert 1 < prediction.flops_ratio < TOKENS / 4
    assert "nothing is drawn" in " ".join(prediction.notes)
