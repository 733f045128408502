"""Fitted generators: what comes back of routing whose figures are known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import condsim
from condsim.errors import CondsimError
from condsim.resources import resource
from condsim.routing import RoutingGenerator, drawn_trace, fit_routing
from condsim.routing.drawn import decode_steps, prefill_steps, trace_of_ids
from condsim.routing.fit import dependence, overlaps, shrunk_shares
from condsim.routing.generator import race_weights
from condsim.routing.sequences import rows_of_sequences, sequences_of
from condsim.trace.columns import STEP_COLUMNS

EXPERTS, TOP_K = 8, 2


def made(memory: float = 0.6) -> RoutingGenerator:
    shares = np.array([np.geomspace(1, 6, EXPERTS), np.ones(EXPERTS)])
    lift = np.where(np.eye(EXPERTS), 4.0, 0.6)
    return RoutingGenerator(
        "made",
        TOP_K,
        shares,
        race_weights(shares, TOP_K),
        (None, lift),
        np.full(2, memory),
        np.zeros(2),
    )


@pytest.fixture(scope="module")
def refitted() -> RoutingGenerator:
    return fit_routing(drawn_trace(made(), prefill_steps(24, 60), seed=5))


def test_popularity_pairs_and_stickiness_come_back(refitted: RoutingGenerator) -> None:
    ids = [one.astype(int) for one in made().draw(60, 60, seed=9)]
    drawn = [one.astype(int) for one in refitted.draw(60, 60, seed=9)]
    for layer in (0, 1):
        was, now = (np.bincount(one[layer].ravel()) / one[layer].size for one in (ids, drawn))
        assert np.abs(was - now).max() < 0.02
        near, again = (overlaps(list(one[layer]), EXPERTS)[0] for one in (ids, drawn))
        assert again == pytest.approx(near, rel=0.12)
    was_alike, alike = (
        dependence(one[0].reshape(-1, TOP_K), one[1].reshape(-1, TOP_K), EXPERTS)
        for one in (ids, drawn)
    )
    assert alike == pytest.approx(was_alike, rel=0.35)
    assert refitted.source == "fitted to 1440 tokens of trace made"


def test_even_popularity_stays_even_in_few_tokens() -> None:
    rng = np.random.default_rng(2)
    few = [rng.permuted(np.tile(np.arange(EXPERTS), (10, 1)), axis=1)[:, :TOP_K] for _ in range(16)]
    counted = np.bincount(np.concatenate(few).ravel(), minlength=EXPERTS) / 160
    assert np.ptp(shrunk_shares(few, EXPERTS)) < np.ptp(counted)


def test_a_captured_trace_is_fitted() -> None:
    trace = condsim.load(resource("traces") / "moe-bytes")
    generator = fit_routing(trace)
    assert (generator.layers, generator.top_k) == (len(trace.sites), trace.sites[0].top_k)


def test_the_tokens_of_a_sequence_are_found_in_prefill_and_decode_steps() -> None:
    steps = pd.DataFrame(
        [("prefill", 2, 3, 0), ("decode", 2, 1, 3), ("decode", 2, 1, 4), ("decode", 2, 1, 3)],
        columns=STEP_COLUMNS,
    )
    together = [rows.tolist() for rows in rows_of_sequences(steps)]
    assert together == [[[0, 1, 2, 6, 8], [3, 4, 5, 7, 9]], [[10], [11]]]


def test_drawn_steps_are_those_that_were_asked_for() -> None:
    trace = drawn_trace(made(), decode_steps(5, context=100, steps=3), seed=1)
    assert trace.steps["past"].tolist() == [99, 99, 99]
    assert trace.decisions("layers.1").ids.shape == (15, TOP_K)
    assert "drawn from generator 'made'" in trace.header.notes[0]


def test_tokens_that_never_got_to_a_layer_are_left_out() -> None:
    ids = np.tile(np.arange(TOP_K), (6, 1))
    ids[2] = -1
    trace = trace_of_ids("some", [ids], EXPERTS, prefill_steps(2, 3), "made")
    assert [len(one) for one in sequences_of(trace)[0]] == [2, 3]


def test_what_cannot_be_fitted_is_said() -> None:
    few = drawn_trace(made(), prefill_steps(1, 4))
    with pytest.raises(CondsimError, match="holds the routing of 4 tokens"):
        fit_routing(few)
    with pytest.raises(CondsimError, match="a generator is fitted to mixtures of experts"):
        fit_routing(condsim.load(resource("traces") / "exit-fashion"))
