"""Rebatching cuts whole units in captured order, and says what it cannot do."""

from __future__ import annotations

import copy

import numpy as np
import pandas as pd
import pytest
from gates.models import case
from hypothesis import given, settings
from hypothesis import strategies as st

import condsim
from condsim.errors import CondsimError
from condsim.steps.rebatch import rebatch
from condsim.trace import Decisions, Header, Provenance, Site, Trace
from condsim.trace.encoding import in_memory
from condsim.trace.header import ONE_A_POSITION


def routed(
    units: int,
    seq: int,
    experts: int,
    k: int,
    batch: int,
    seed: int,
    order: np.ndarray | None = None,
) -> Trace:
    """A mixture of experts with random decisions; order: of the units."""
    rng = np.random.default_rng(seed)
    ids = np.argsort(rng.random((units, seq, experts)), axis=2)[:, :, :k].astype(np.int16)
    ids = ids if order is None else ids[order]
    site = Site(
        name="e", mechanism="moe", branches=experts, top_k=k, stored="e", unit_rows=ONE_A_POSITION
    )
    header = Header(
        name="routed",
        sites=(site,),
        captured={"moe": "looped"},
        provenance=Provenance(model="m", taken="t", versions={}),
    )
    sizes = [batch] * (units // batch) + ([units % batch] if units % batch else [])
    steps = pd.DataFrame([{"phase": "prefill", "units": n, "seq": seq, "past": 0} for n in sizes])
    return Trace(header, steps, {}, in_memory({"e": Decisions(ids.reshape(units * seq, k))}))


sizes = {
    "units": st.integers(1, 20),
    "seq": st.integers(1, 5),
    "experts": st.integers(2, 9),
    "batch": st.integers(1, 20),
    "seed": st.integers(0, 99),
}


@settings(max_examples=60)
@given(**sizes, k=st.integers(1, 2))
def test_rows_are_kept(units: int, seq: int, experts: int, batch: int, seed: int, k: int) -> None:
    trace = routed(units, seq, experts, k, 4, seed)
    batch = min(batch, units)
    steps = rebatch(trace, batch)
    assert (steps.steps.counts["e"].sum(1) == batch * seq * k).all()
    assert len(steps.steps) * batch + steps.dropped == units
    assert steps.dropped < batch


@settings(max_examples=40)
@given(steps=st.integers(1, 5), batch=st.integers(1, 6), seed=st.integers(0, 99))
def test_the_captured_batch_is_the_identity(steps: int, batch: int, seed: int) -> None:
    trace = routed(steps * batch, 3, 6, 2, batch, seed)
    again = rebatch(trace, batch)
    assert again.dropped == 0
    own = trace.unit_counts("e").reshape(steps, batch, -1).sum(1)
    np.testing.assert_array_equal(again.steps.counts["e"], own)
    np.testing.assert_array_equal(rebatch(trace).steps.counts["e"], own)


@settings(max_examples=40)
@given(batch=st.integers(1, 6), seed=st.integers(0, 99))
def test_the_order_of_a_steps_rows_does_not_matter(batch: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    order = np.concatenate([s * batch + rng.permutation(batch) for s in range(4)])
    a, b = (rebatch(routed(4 * batch, 3, 6, 2, batch, seed, o), batch) for o in (None, order))
    np.testing.assert_array_equal(a.steps.counts["e"], b.steps.counts["e"])


def test_errors_name_the_value_and_the_way_out() -> None:
    trace = routed(6, 2, 4, 2, 3, 0)
    for batch in (0, -1):
        with pytest.raises(CondsimError, match=f"batch must be at least 1, got {batch}"):
            rebatch(trace, batch)
    with pytest.raises(CondsimError, match="batch 7 is more than the 6 units"):
        rebatch(trace, 7)
    with pytest.raises(CondsimError, match="no phase 'decode'"):
        rebatch(trace, phase="decode")
    with pytest.raises(CondsimError, match="threshold"):
        rebatch(trace, threshold=0.5)
    with pytest.raises(CondsimError, match="unknown site 'nowhere'"):
        trace.site("nowhere")


def test_mixed_phases_want_a_name() -> None:
    trace = case("mixtral").trace
    with pytest.raises(CondsimError, match="name one with phase="):
        rebatch(trace)
    assert rebatch(trace, phase="decode").steps.extents["seq"].max() == 1


def test_padded_drops_what_is_over_capacity() -> None:
    import torch

    from condsim.live import expert_forms as runtimes
    from condsim.steps.extents import capacity

    rng = np.random.default_rng(0)
    ids = rng.integers(0, 2, (16, 1))
    weights = runtimes.ExpertWeights(
        torch.eye(4).expand(4, 4, 4).contiguous(),
        torch.eye(4).expand(4, 4, 4).contiguous(),
        None,
        None,
        lambda h: h,
    )
    room = int(capacity(np.array([16]), 1, 4)[0])
    assert room == 5  # ceil(16 rows / 4 experts * 1.25)
    out = runtimes.padded(weights, torch.ones(16, 4), torch.as_tensor(ids), torch.ones(16, 1), room)
    dropped = np.maximum(np.bincount(ids[:, 0], minlength=4) - room, 0).sum()
    assert dropped > 0
    assert int((out.sum(1) == 0).sum()) == dropped


@pytest.mark.parametrize("threshold", [0.3, 0.6, 0.99])
def test_a_threshold_is_a_live_capture_at_it(threshold: float) -> None:
    of = case("exit-fashion")
    model = copy.deepcopy(of.model)
    model.threshold = threshold
    live = condsim.capture(model, of.inputs, measure=False)
    again, own = rebatch(of.trace, threshold=threshold), rebatch(live)
    for site in live.sites:
        np.testing.assert_array_equal(again.steps.counts[site.name], own.steps.counts[site.name])


@pytest.mark.parametrize("threshold", [[1.5, 2], "high", float("nan"), True])
def test_a_threshold_that_is_no_number_is_refused(threshold: object) -> None:
    trace = case("exit-fashion").trace
    with pytest.raises(CondsimError, match="threshold must be a number"):
        rebatch(trace, threshold=threshold)  # type: ignore[arg-type]
