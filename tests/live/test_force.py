"""Forced decisions: what each way sends where."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gates.models import case
from torch import nn

import condsim
from condsim.errors import CondsimError
from condsim.live.execution import SiteInfo
from condsim.live.force import WAYS, FirstRightExit, rows_kept

BRANCHES = 4


class Branches(nn.Module):
    """Rows [batch, 4]; a marked choice among branches. ids: of the last pass."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Linear(4, BRANCHES)
        self.ids = torch.empty(0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        own = self.gate(x).argmax(-1)
        self.ids = condsim.route("path", "multi_branch", own, branches=BRANCHES)
        return x


class Experts(nn.Module):
    """Rows [batch, 4]; a marked mixture of experts that takes two. ids, weights: of the last."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Linear(4, BRANCHES)
        self.ids = self.weights = torch.empty(0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        own_weights, own = self.gate(x).topk(2)
        self.ids, self.weights = condsim.route("mix", "moe", own, own_weights, branches=BRANCHES)
        return x


@pytest.fixture
def x() -> torch.Tensor:
    torch.manual_seed(0)
    return torch.randn(200, 4)


def test_balanced_decisions_load_all_branches_alike(x: torch.Tensor) -> None:
    model = Branches()
    with condsim.force(model, "balanced"):
        model(x)
    assert torch.bincount(model.ids).tolist() == [50] * BRANCHES


def test_balanced_experts_are_distinct_and_count_alike(x: torch.Tensor) -> None:
    model = Experts()
    with condsim.force(model, "balanced"):
        model(x)
    assert torch.bincount(model.ids.flatten()).tolist() == [100] * BRANCHES
    assert bool((model.ids[:, 0] != model.ids[:, 1]).all())
    assert bool((model.weights == 0.5).all())


def test_random_decisions_follow_their_seed(x: torch.Tensor) -> None:
    model = Branches()
    ids = []
    for seed in (0, 0, 1):
        with condsim.force(model, "random", seed=seed):
            model(x)
        ids.append(model.ids.clone())
    assert torch.equal(ids[0], ids[1])
    assert not torch.equal(ids[0], ids[2])


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_perturbed_decisions_change_for_a_share_of_the_rows(x: torch.Tensor, share: float) -> None:
    model = Branches()
    model(x)
    own = model.ids.clone()
    with condsim.force(model, "perturbed", share=share):
        model(x)
    changed = (model.ids != own).float().mean().item()
    assert changed <= share + 0.1
    assert (changed > 0) == (share > 0)


def test_rows_kept_are_the_mean_of_the_trace() -> None:
    trace = case("skip-fashion").trace
    kept = rows_kept(trace)
    units = int(trace.steps["units"].iloc[0])
    for site in trace.sites:
        share = (trace.decisions(site.name).ids == 1).mean()
        assert kept[site.name][1] == np.rint(share * units)


def test_a_replay_wants_the_traces_own_inputs() -> None:
    of = case("skip-fashion")
    with condsim.force(of.model, of.trace), pytest.raises(CondsimError, match="use the trace's"):
        of.model(of.inputs[0][:3])


def test_a_replay_ends_with_the_trace() -> None:
    of = case("skip-fashion")
    with condsim.force(of.model, of.trace):
        of.outputs()
        with pytest.raises(CondsimError, match=r"the trace's 5 steps are used up"):
            of.outputs()


def test_a_replay_of_another_model_is_an_error(x: torch.Tensor) -> None:
    model = Branches()
    with (
        condsim.force(model, case("skip-fashion").trace),
        pytest.raises(CondsimError, match="no site 'path'; it was captured from another model"),
    ):
        model(x)


@pytest.mark.parametrize("what", ["same-flops", "oracle"])
def test_ways_that_need_a_trace_say_so(what: str) -> None:
    with (
        pytest.raises(CondsimError, match=rf"force\(model, '{what}'\) needs trace="),
        condsim.force(Branches(), what),
    ):
        pass


def test_an_unknown_way_names_the_nearest() -> None:
    with (
        pytest.raises(CondsimError, match="unknown forced routing 'ballanced'; did you mean"),
        condsim.force(Branches(), "ballanced"),
    ):
        pass
    assert set(WAYS) == {
        "same-params",
        "same-flops",
        "balanced",
        "random",
        "perturbed",
        "oracle",
    }


def test_the_oracle_needs_quality_at_every_exit() -> None:
    with pytest.raises(CondsimError, match="has no quality at every exit"):
        FirstRightExit(case("skip-fashion").trace)


def test_the_oracle_leaves_at_the_first_exit_that_is_right() -> None:
    of = case("exit-fashion")
    trace = condsim.capture(
        of.model,
        of.inputs[:1],
        measure=False,
        quality=lambda output, _: output.argmax(-1).eq(0).float().numpy(),
    )
    columns = [column for column in trace.quality.columns if column.startswith("exit_")]
    quality = trace.quality[columns].to_numpy()
    first_best = np.argmax(quality == quality.max(1)[:, None], axis=1)
    oracle = FirstRightExit(trace)
    here = np.arange(len(quality))
    for site in trace.sites:
        info = SiteInfo(site.name, site.mechanism, site.branches)
        goes_on, _ = oracle(info, np.zeros(len(here), np.int64))
        np.testing.assert_array_equal(goes_on, first_best[here] > site.level)
        here = here[goes_on == 1]
