"""A mechanism that condsim never heard of: one object, a strategy of its own, and marks.

Everything else is asked of what the object says of itself, so that the answers are those for the
built-in mechanism that decides alike.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import condsim
from condsim.errors import CondsimError
from condsim.hardware import hardware
from condsim.mechanisms import MECHANISMS, Guards, Mechanism, Rows
from condsim.mechanisms.moe import MixtureOfExperts
from condsim.predict.choose import strategies_on
from condsim.predict.prediction import Prediction
from condsim.predict.simulate import simulate
from condsim.strategies import BASELINES, STRATEGIES, strategies_for
from condsim.strategies.alone import rows_alone
from condsim.strategies.strategy import strategy
from condsim.study.breakeven import axes
from condsim.study.routing import load as load_of_branches
from condsim.trace import Trace

HIDDEN, INNER, BATCH = 32, 96, 6
FLOPS_A_ROW = 2 * 2 * HIDDEN * INNER
"""Of two linears."""

DEVICES = ("nvidia-h100-sxm", "amd-epyc-9655", "google-tpu-v5e", "google-edge-tpu")
"""One of each class."""


class LayerReuse(Mechanism):
    """Branch 1 computes a layer, branch 0 takes its input as it is."""

    name = "layer_reuse"
    title = "layer reuse"


class CoinFlip(MixtureOfExperts):
    """Experts that a coin chooses."""

    name = "coin_flip"
    title = "coin flip"


def paired(guards: Guards) -> Rows:
    """Rows in pairs: as many as took the branch, and one more where that is odd."""
    arriving, rows = rows_alone(guards)
    return arriving, np.minimum(rows + rows % 2, arriving)


@pytest.fixture(scope="module", autouse=True)
def invented() -> Iterator[None]:
    """The mechanisms and the strategy, known while the tests of this file run."""
    MECHANISMS.register("layer_reuse")(LayerReuse())
    MECHANISMS.register("coin_flip")(CoinFlip())
    programs = {"branched": "compacted"}
    strategy("paired", "layer_reuse", steered="host", shapes="any", runs=programs)(paired)
    yield
    for registry, name in (
        (MECHANISMS, "layer_reuse"),
        (MECHANISMS, "coin_flip"),
        (STRATEGIES, "paired"),
    ):
        del registry._entries[name]


class FeedForward(nn.Sequential):
    """What stands behind a guard."""

    def __init__(self) -> None:
        super().__init__(nn.Linear(HIDDEN, INNER), nn.ReLU(), nn.Linear(INNER, HIDDEN))


class Gated(nn.Module):
    """Two layers that rows enter or not."""

    def __init__(self, mechanism: str) -> None:
        super().__init__()
        self.mechanism = mechanism
        self.gates = nn.ModuleList(nn.Linear(HIDDEN, 2) for _ in range(2))
        self.layers = nn.ModuleList(FeedForward() for _ in range(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for number, layer in enumerate(self.layers):
            site, gate, arriving = f"gate{number}", self.gates[number], x
            condsim.route(
                site, self.mechanism, lambda gate=gate, rows=arriving: gate(rows).argmax(-1)
            )
            with condsim.branch(site, 1) as rows:
                if rows:
                    x = rows.put(x, layer(rows.take(x)))
        return x

    def dense(self, x: torch.Tensor) -> torch.Tensor:
        """Every row in every layer."""
        for layer in self.layers:
            x = layer(x)
        return x


class Mixed(nn.Module):
    """Two of four experts for each row."""

    def __init__(self, mechanism: str) -> None:
        super().__init__()
        self.mechanism = mechanism
        self.router = nn.Linear(HIDDEN, 4)
        self.experts = nn.ModuleList(FeedForward() for _ in range(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        condsim.route("gate0", self.mechanism, lambda: self.two_best(x), branches=4)
        out = torch.zeros_like(x)
        for number, expert in enumerate(self.experts):
            with condsim.branch("gate0", number) as rows:
                if rows:
                    out = rows.add(out, expert(rows.take(x)))
        return out

    def two_best(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return ids and weights of each row's experts."""
        scores, ids = self.router(x).softmax(-1).topk(2)
        return ids, scores

    def dense(self, x: torch.Tensor) -> torch.Tensor:
        """The mean of all experts."""
        return torch.stack([expert(x) for expert in self.experts]).mean(0)


@dataclass(frozen=True)
class Alike:
    """One model marked twice: with an invented mechanism, and with the built-in one."""

    model: Gated | Mixed
    inputs: list[torch.Tensor]
    trace: Trace
    builtin: Trace


def alike(kind: type[Gated | Mixed], invented_name: str, builtin_name: str) -> Alike:
    """Capture a model with the same weights under both marks."""
    torch.manual_seed(0)
    model = kind(invented_name).eval()
    marked = kind(builtin_name).eval()
    marked.load_state_dict(model.state_dict())
    inputs = [torch.randn(BATCH, HIDDEN) for _ in range(5)]
    trace = condsim.capture(model, inputs, measure=False, name="model")
    builtin = condsim.capture(marked, inputs, measure=False, name="model")
    return Alike(model, inputs, trace, builtin)


@pytest.fixture(scope="module")
def pairs(invented: None) -> dict[str, Alike]:
    """Every invented mechanism beside the built-in one."""
    return {
        "layer_reuse": alike(Gated, "layer_reuse", "skip"),
        "coin_flip": alike(Mixed, "coin_flip", "moe"),
    }


NAMES = ("layer_reuse", "coin_flip")


@torch.no_grad()
def outputs(of: Alike) -> list[torch.Tensor]:
    """What the model says of every input."""
    return [of.model(batch) for batch in of.inputs]


@pytest.mark.parametrize("name", NAMES)
def test_what_was_captured_bears_its_name(pairs: dict[str, Alike], name: str) -> None:
    trace, builtin = pairs[name].trace, pairs[name].builtin
    assert trace.mechanisms == (name,)
    assert trace.header.captured == {name: builtin.header.captured[builtin.mechanisms[0]]}
    assert set(trace.programs) == set(builtin.programs)
    for key, program in trace.programs.items():
        assert program.flagged == ()
        assert program.root == builtin.programs[key].root, key


@pytest.mark.parametrize("name", NAMES)
def test_the_flops_of_branches_are_counted(pairs: dict[str, Alike], name: str) -> None:
    for site in pairs[name].trace.sites:
        computing = site.branch_flops[1:] if name == "layer_reuse" else site.branch_flops
        assert set(computing) == {FLOPS_A_ROW}
    trace = pairs[name].trace
    rows = 0
    for site in trace.sites:
        counts = trace.unit_counts(site.name)
        rows += counts[:, 1:].sum() if name == "layer_reuse" else counts.sum()
    router = 2 * HIDDEN * (2 * 2 if name == "layer_reuse" else 4) * BATCH
    predicted = simulate(trace, "nvidia-h100-sxm")
    assert predicted.executed_flops == pytest.approx(rows * FLOPS_A_ROW / 5 + router)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", NAMES)
def test_predictions_are_those_of_the_builtin_mechanism(
    pairs: dict[str, Alike], name: str, device: str
) -> None:
    trace, builtin = pairs[name].trace, pairs[name].builtin
    profile = hardware(device)
    able = strategies_on(builtin, profile)
    assert able
    assert [s for s in strategies_on(trace, profile) if s != "paired"] == able
    for chosen in able:
        for baseline in BASELINES:
            for batch in (1, 4, BATCH):
                one = simulate(trace, profile, chosen, batch, baseline)
                other = simulate(builtin, profile, chosen, batch, baseline)
                assert one.mechanism == name
                assert facts(one) == facts(other), (chosen, baseline, batch)


def facts(predicted: Prediction) -> dict[str, object]:
    """All that a prediction says, but for the mechanism's name."""
    said = predicted.to_dict()
    said.pop("mechanism")
    return said


@pytest.mark.parametrize("name", NAMES)
def test_replaying_gives_the_same_bits(pairs: dict[str, Alike], name: str) -> None:
    of = pairs[name]
    own = outputs(of)
    with condsim.force(of.model, of.trace):
        replayed = outputs(of)
    for one, other in zip(own, replayed, strict=True):
        assert torch.equal(one, other)
    with condsim.force(of.model, "random", seed=1):
        assert not torch.equal(outputs(of)[0], own[0])


@pytest.mark.parametrize("name", NAMES)
def test_same_params_is_the_dense_model(pairs: dict[str, Alike], name: str) -> None:
    of = pairs[name]
    with condsim.force(of.model, "same-params", trace=of.trace):
        forced = outputs(of)
    for batch, output in zip(of.inputs, forced, strict=True):
        with torch.no_grad():
            torch.testing.assert_close(output, of.model.dense(batch))


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_keeps_it(pairs: dict[str, Alike], name: str, tmp_path: Path) -> None:
    trace = pairs[name].trace
    again = condsim.load(trace.save(tmp_path / "t"))
    assert again.header == trace.header
    assert facts(simulate(again, "nvidia-h100-sxm")) == facts(simulate(trace, "nvidia-h100-sxm"))
    known = MECHANISMS._entries.pop(name)
    try:
        with pytest.raises(CondsimError, match=name) as refused:
            condsim.load(tmp_path / "t")
    finally:
        MECHANISMS.register(name)(known)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", NAMES)
def test_studies_ask_the_mechanism(pairs: dict[str, Alike], name: str) -> None:
    of = pairs[name]
    profile = hardware("nvidia-h100-sxm")
    assert list(axes(of.trace, profile)) == list(axes(of.builtin, profile))
    ours = load_of_branches(of.trace).drop(columns="mechanism")
    theirs = load_of_branches(of.builtin).drop(columns="mechanism")
    assert ours.equals(theirs)


def test_a_strategy_of_its_own_serves_no_other_mechanism(pairs: dict[str, Alike]) -> None:
    of = pairs["layer_reuse"]
    assert "paired" in strategies_for("layer_reuse")
    assert "paired" not in strategies_for("skip")
    assert "paired" not in strategies_for("coin_flip")
    with pytest.raises(CondsimError, match="'paired' is not for skip"):
        simulate(of.builtin, "nvidia-h100-sxm", "paired")


def test_its_strategy_runs_the_rows_of_its_rule(pairs: dict[str, Alike]) -> None:
    trace = pairs["layer_reuse"].trace
    flops = {}
    for chosen in ("compacted", "paired", "masked"):
        flops[chosen] = simulate(trace, "nvidia-h100-sxm", chosen, 5).executed_flops
    odd = 0
    for site in trace.sites:
        rows = trace.unit_counts(site.name)[:, 1].reshape(-1, 5).sum(1)
        odd += int((rows % 2 * (rows < 5)).sum())
    assert odd > 0
    more = odd * FLOPS_A_ROW / 6
    assert flops["paired"] == pytest.approx(flops["compacted"] + more)
    assert flops["paired"] < flops["masked"]
