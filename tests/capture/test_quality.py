"""Quality at every exit, and with nothing conditional."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from gates.models import case

from condsim.capture.observe import Observation, observe
from condsim.capture.quality import dense_quality, score_exits
from condsim.live.inputs import Batch, as_batches
from condsim.live.model import LiveModel


def largest_logit(output: Any, number: int) -> np.ndarray:
    """A quality for a test."""
    logits: np.ndarray = output.detach().amax(-1).numpy()
    return logits


def exits() -> tuple[LiveModel, list[Batch], Observation]:
    """A model with two exits that was observed."""
    of = case("stranger-exits")
    live, batches = LiveModel.of(of.model), as_batches(of.inputs[:2])
    return live, batches, observe(live, batches)


def test_every_row_gets_a_score_at_every_exit() -> None:
    live, batches, seen = exits()
    score_exits(live, batches, seen, None)
    for decisions in seen.joined().values():
        assert decisions.scores is not None
        assert np.isfinite(decisions.scores).all()
    assert not seen.quality


def test_quality_at_an_exit_is_that_of_the_rows_that_leave_there() -> None:
    live, batches, seen = exits()
    score_exits(live, batches, seen, largest_logit)
    table = seen.quality_table()
    assert list(table) == [f"exit_{number}" for number in range(len(live.infos) + 1)]
    assert len(table) == 16


def test_the_dense_model_leaves_nowhere() -> None:
    live, batches, seen = exits()
    score_exits(live, batches, seen, largest_logit)
    dense_quality(live, batches, seen, largest_logit, {})
    table = seen.quality_table()
    np.testing.assert_allclose(table["dense"], table[f"exit_{len(live.infos)}"], rtol=1e-5)


def test_scores_of_exits_beside_other_sites_are_left_alone() -> None:
    of = case("marked")
    live, batches = LiveModel.of(of.model), as_batches(of.inputs[:1])
    seen = observe(live, batches)
    before = seen.joined()["exit"].scores
    score_exits(live, batches, seen, largest_logit)
    assert not seen.quality
    np.testing.assert_array_equal(seen.joined()["exit"].scores, before)
    assert torch.is_inference_mode_enabled() is False
