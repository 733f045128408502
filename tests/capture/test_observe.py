"""Observing: every row's decision is kept, also of rows that never got to a site."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gates.models import case

from condsim.capture.observe import Observation, StepSize, keep_decisions, observe
from condsim.capture.sizes import ordered
from condsim.errors import CondsimError
from condsim.live.execution import Execution, SiteInfo
from condsim.live.inputs import as_batches
from condsim.live.model import LiveModel
from condsim.trace.header import ONE_A_POSITION, ONE_A_UNIT

EXIT = SiteInfo("exit", "early_exit", 2, has_scores=True)
BEHIND = SiteInfo("jump", "skip", 2, parents=(("exit", 1),))


def live(*infos: SiteInfo) -> LiveModel:
    """A model whose sites are known."""
    return LiveModel(torch.nn.Identity(), [], {info.name: info for info in infos})


def call(*ids: int) -> dict[str, torch.Tensor]:
    """What a site decided."""
    return {"ids": torch.tensor(ids)}


def of_units() -> Observation:
    """An observation of an exit for units."""
    return Observation(unit_rows={"exit": ONE_A_UNIT})


def test_parents_come_first() -> None:
    assert ordered({"jump": BEHIND, "exit": EXIT}) == ["exit", "jump"]


def test_rows_that_never_got_there_are_marked() -> None:
    seen = Observation(unit_rows={"exit": ONE_A_UNIT, "jump": ONE_A_UNIT})
    first = {**call(1, 0, 1), "scores": torch.tensor([0.1, 0.9, 0.2])}
    run = Execution(observed={"exit": [first], "jump": [call(1, 0)]})
    keep_decisions(live(EXIT, BEHIND), seen, run, StepSize("prefill", 3, None, past=0))
    joined = seen.joined()
    np.testing.assert_array_equal(joined["jump"].ids, [1, -1, 0])
    assert joined["exit"].scores is not None
    assert seen.steps == [{"phase": "prefill", "units": 3, "seq": 1, "past": 0}]


def test_a_site_that_decides_twice_is_refused() -> None:
    run = Execution(observed={"exit": [call(1), call(0)]})
    with pytest.raises(CondsimError, match="site 'exit' decides 2 times in one forward pass"):
        keep_decisions(live(EXIT), of_units(), run, StepSize("prefill", 1, None, past=0))


def test_a_site_that_leaves_out_rows_is_refused() -> None:
    run = Execution(observed={"exit": [call(1, 0)]})
    with pytest.raises(CondsimError, match="decided for 2 rows where 3 rows come"):
        keep_decisions(live(EXIT), of_units(), run, StepSize("prefill", 3, None, past=0))


def test_rows_are_positions_where_a_site_decides_for_each() -> None:
    seen = Observation(unit_rows={"exit": ONE_A_POSITION})
    run = Execution(observed={"exit": [call(*[1] * 6)]})
    keep_decisions(live(EXIT), seen, run, StepSize("prefill", 2, 3, past=0))
    assert len(seen.decisions["exit"][0].ids) == 6


def test_a_site_that_a_decode_step_does_not_reach_is_refused() -> None:
    run = Execution(observed={})
    with pytest.raises(CondsimError, match="site 'exit' decides nothing in a decode step"):
        keep_decisions(live(EXIT), of_units(), run, StepSize("decode", 2, 1, past=3))


def test_a_model_without_routing_is_refused() -> None:
    model = LiveModel.of(torch.nn.Linear(3, 3).eval())
    with pytest.raises(CondsimError, match="no routing found in this model") as error:
        observe(model, as_batches(torch.ones(2, 3)))
    assert "condsim.route" in str(error.value)


def test_quality_that_is_not_finite_is_refused() -> None:
    with pytest.raises(CondsimError, match="quality: the model's output is NaN or infinite"):
        Observation().add_quality("dense", np.array([1.0, np.nan]))


def test_sites_show_themselves_that_the_data_never_reaches() -> None:
    of = case("marked")
    seen = observe(LiveModel.of(of.model), as_batches(of.inputs[:1]))
    assert set(seen.decisions) == {"exit", "jump", "mix"}
    rows = {name: len(decisions.ids) for name, decisions in seen.joined().items()}
    assert set(rows.values()) == {8}


def test_a_mixture_whose_gate_is_a_parameter_is_seen() -> None:
    class Sorted(torch.nn.Module):
        """Experts run on slices of sorted rows."""

        def __init__(self) -> None:
            super().__init__()
            self.gate = torch.nn.Parameter(torch.randn(4, 3))
            self.experts = torch.nn.ModuleList(torch.nn.Linear(4, 4) for _ in range(3))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            ids = (x @ self.gate).argmax(1)
            order = ids.argsort()
            parts = x[order].split(torch.bincount(ids, minlength=3).tolist())
            results = [expert(part) for expert, part in zip(self.experts, parts, strict=True)]
            return torch.empty_like(x).index_copy(0, order, torch.cat(results))

    model, x = Sorted().eval(), torch.randn(6, 4)
    seen = observe(LiveModel.of(model), as_batches(x)).joined()
    chosen = (x @ model.gate).argmax(1)
    assert seen["experts"].ids.ravel().tolist() == chosen.tolist()
