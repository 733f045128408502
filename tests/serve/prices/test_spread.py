"""Steps of ranks that share experts cost what simulate says of the same tokens."""

from __future__ import annotations

import numpy as np
import pytest
from made_models import MIXTURE

import condsim
from condsim.serve.named import served_model
from condsim.serve.outcome import Outcome
from condsim.serve.requests import Lengths, bursts
from condsim.serve.serving import Serving
from condsim.trace import Trace

GPU = "nvidia-h200-sxm"
TWO = condsim.Parallel(expert=2, exchange="all-gather")


@pytest.fixture(scope="module")
def mixture(tmp_path_factory: pytest.TempPathFactory) -> Trace:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        return served_model(MIXTURE)


def served(trace: Trace, parallel: condsim.Parallel | None, count: int = 8) -> Serving:
    requests = bursts(count, 1.0, count, Lengths(256, 256), Lengths(32, 32))
    return condsim.serve(
        trace, GPU, requests, runtime="served", parallel=parallel, dispatch="round-robin"
    )


def answers_s(side: Outcome) -> float:
    return float(np.nanmedian(side.time_per_output_token_s))


def test_a_step_of_both_ranks_is_one_of_simulate(mixture: Trace) -> None:
    of_steps = condsim.simulate(
        mixture, GPU, batch=8, phase="decode", runtime="served", parallel=TWO
    )
    together = served(mixture, TWO)
    assert answers_s(together.dense) == pytest.approx(of_steps.baseline_s, rel=0.02)
    assert answers_s(together.conditional) == pytest.approx(of_steps.latency_s, rel=0.03)


def test_waits_add_up_and_name_the_ranks(mixture: Trace) -> None:
    side = served(mixture, TWO, count=7).conditional
    assert sum(side.waited_s.values()) == pytest.approx(side.latency_s.mean(), rel=1e-9)
    assert side.waited_s["slower ranks"] > 0
    assert side.waited_s["exchanges"] > 0


def test_a_model_without_experts_runs_on_each_rank_by_itself(mixture: Trace) -> None:
    spread, alone = served(mixture, TWO), served(mixture, None, count=4)
    ours, theirs = (side.sides["same-flops"] for side in (spread, alone))
    assert answers_s(ours) == pytest.approx(answers_s(theirs), rel=1e-6)
