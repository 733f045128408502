"""The traces that come with condsim: their routing is worth simulating, and says the same as the
models' own checkpoints."""

from __future__ import annotations

import functools

import numpy as np
import pytest

import condsim
from condsim.decide.units import Units
from condsim.measure.plan import trains
from condsim.predict.choose import probed_strategies
from condsim.predict.mask_moves import moves_of
from condsim.program.regime import DECODE
from condsim.resources import resource
from condsim.steps.patterns import ACTIVE, patterns_of
from condsim.trace import Site, Trace

FOLDERS = sorted(f.parent for f in resource("traces").glob("*/trace.json"))
NAMES = [f.name for f in FOLDERS]
MECHANISMS = {
    "moe",
    "early_exit",
    "multi_branch",
    "skip",
    "sparse_activation",
    "token_exit",
    "dynamic_sparse_training",
}


@functools.cache
def trace(name: str) -> Trace:
    return condsim.load(resource("traces") / name)


ROUTED = [n for n in NAMES if not any(s.routing.prunes_weights for s in trace(n).sites)]
"""Those whose decisions are of rows."""


def phases(name: str) -> list[str]:
    return list(trace(name).steps["phase"].unique())


def share(of: Trace, site: Site) -> np.ndarray:
    """Share of the rows that reach the site which take each branch: float [branches]."""
    counts = of.unit_counts(site.name).sum(0)
    arrived = (
        of.rows_per_unit(site).sum()
        if site.top_k is not None or site.encoding == "bits"
        else counts.sum()
    )
    found: np.ndarray = counts / arrived
    return found


def test_every_mechanism_has_a_trace() -> None:
    assert {m for name in NAMES for m in trace(name).mechanisms} >= MECHANISMS


def test_all_of_them_take_a_few_megabytes() -> None:
    assert (
        sum(f.stat().st_size for folder in FOLDERS for f in folder.rglob("*") if f.is_file()) < 8e6
    )


@pytest.mark.parametrize("name", ROUTED)
def test_thousands_of_rows_with_their_quality_and_provenance(name: str) -> None:
    of = trace(name)
    assert all(of.rows_per_unit(site).sum() >= 2000 for site in of.sites)
    judged_at_each_step, judged_as_a_whole = of.units, Units.of(of).count
    assert len(of.quality) in (judged_at_each_step, judged_as_a_whole)
    assert np.isfinite(of.quality[["conditional", "dense"]].to_numpy()).all()
    assert of.header.provenance.command is not None
    assert of.header.provenance.command.startswith(f"condsim capture {of.name} ")
    assert of.profile is not None


@pytest.mark.parametrize("name", ROUTED)
def test_no_branch_takes_over_nine_tenths_of_the_rows_and_none_under_a_hundredth(name: str) -> None:
    """But for exits of a decoder that stand behind others: few that are sure come so far."""
    for site in trace(name).sites:
        found = share(trace(name), site)
        rare = site.routing.owes and site.parents
        assert found.max() <= (0.98 if rare else 0.90), (site.name, found)
        assert found.min() >= 0.01, (site.name, found)


@pytest.mark.parametrize("name", [n for n in NAMES if "sparse_activation" in trace(n).mechanisms])
def test_one_sequence_touches_less_than_seven_tenths_of_the_blocks(name: str) -> None:
    for site in trace(name).sites:
        assert (trace(name).unit_counts(site.name) > 0).mean() < 0.70, site.name


@pytest.mark.parametrize("name", [n for n in NAMES if "moe" in trace(n).mechanisms])
def test_experts_are_loaded_unevenly(name: str) -> None:
    """A text that has ended goes on as padding, which one expert of a layer takes."""
    most = 3.5 if DECODE in phases(name) else 2.5
    imbalance = [
        found.max() / found.mean()
        for site in trace(name).sites
        for found in [share(trace(name), site)]
    ]
    assert 1.6 <= max(imbalance) <= most, imbalance


@pytest.mark.parametrize("name", [n for n in ROUTED if "moe" not in trace(n).mechanisms])
def test_the_dense_network_is_a_fair_rival(name: str) -> None:
    """Without routing the same weights are about as good: a point of accuracy, or a twentieth of
    the bits. All experts at once are not meant to be."""
    mean = trace(name).quality[["conditional", "dense"]].mean()
    if trace(name).header.provenance.higher_is_better:
        assert mean["dense"] >= mean["conditional"] - 0.01
    else:
        assert mean["dense"] <= mean["conditional"] * 1.05


def test_some_cases_speed_up_and_some_slow_down() -> None:
    """As predicted for the machine of the traces, which needs no clock.

    `batched` is for a few tokens: with more it is slow without saying anything.
    """
    speedups = [
        condsim.simulate(trace(n), None, strategy, batch, baseline, phase=phase).speedup
        for n in ROUTED
        if not trains(trace(n))
        for phase in phases(n)
        for strategy in probed_strategies(trace(n))
        for batch in (1, 32)
        for baseline in ("same-params", "same-flops")
        if strategy != "batched"
    ]
    assert max(speedups) > 1.2
    assert min(speedups) < 0.8


@pytest.mark.parametrize("name", NAMES)
def test_steps_priced_at_once_are_the_steps_one_by_one(name: str) -> None:
    """A device with a clock of its own: all steps in closed form, kernels priced where they
    stand, against each step's kernels in SimPy."""
    for phase in phases(name):
        asked = {"steps": [0, 2, 3], "phase": phase}
        at_once, alone = (
            condsim.simulate(trace(name), "nvidia-h100-sxm", engine=engine, **asked)
            for engine in ("closed", "events")
        )
        np.testing.assert_allclose(at_once.steps, alone.steps, rtol=1e-9)


def test_a_prediction_does_not_depend_on_what_was_predicted_before() -> None:
    """A step is played back once for its sizes and decisions, not once for its program."""
    alone, after = (condsim.load(resource("traces") / "moe-bytes") for _ in range(2))
    condsim.simulate(after, batch=16)
    assert condsim.simulate(after, batch=2).latency_s == condsim.simulate(alone, batch=2).latency_s


@pytest.mark.parametrize("name", [n for n in NAMES if n not in ROUTED])
def test_masks_of_a_training_move(name: str) -> None:
    """As many weights are there in every entry, but others; fewer and fewer move."""
    of = trace(name)
    command = of.header.provenance.command
    assert command is not None
    assert command.startswith(f"condsim capture {name} --train ")
    assert set(of.steps["phase"]) == {"train"}
    for site in of.sites:
        active = patterns_of(of, site)[:, ACTIVE]
        moved = moves_of(of, site)
        assert len(set(active.tolist())) == 1
        assert 0.02 < active[0] / (site.unit_rows.a_step * site.branches) < 0.5
        assert moved.min() > 0
        assert moved[-1] < moved[0]
