"""The closed form of ranks that wait for each other equals SimPy, on any of them."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from condsim.parallel import reference
from condsim.parallel.schedule import Schedule


@st.composite
def systems(draw: st.DrawFn) -> Schedule:
    ranks, stages = draw(st.integers(1, 6)), draw(st.integers(1, 9))
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    stages_s = rng.exponential(1e-3, (1, ranks, stages))
    stages_s[rng.random(stages_s.shape) < draw(st.floats(0, 1))] = 0.0
    exchanges_s = rng.exponential(1e-4, (1, stages - 1))
    return Schedule(stages_s, exchanges_s)


@settings(max_examples=60)
@given(systems())
def test_the_closed_form_equals_events(system: Schedule) -> None:
    begin, end, finish = reference.run(system.stages_s[0], system.exchanges_s[0])
    ranks = len(begin)
    np.testing.assert_allclose(np.tile(system.begin_s[0], (ranks, 1)), begin, rtol=0, atol=1e-9)
    np.testing.assert_allclose(begin + system.stages_s[0], end, rtol=0, atol=1e-9)
    np.testing.assert_allclose(system.seconds[0], finish, rtol=0, atol=1e-9)


@settings(max_examples=30)
@given(systems())
def test_every_rank_s_time_is_accounted_for(system: Schedule) -> None:
    accounted = system.busy_s + system.waiting_s + system.communication_s[:, None]
    np.testing.assert_allclose(accounted, np.broadcast_to(system.seconds[:, None], accounted.shape))
    assert (system.waiting_s >= -1e-15).all()
