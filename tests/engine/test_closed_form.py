"""The closed form equals SimPy, on any table of kernels."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from condsim.engine import closed_form as engine
from condsim.engine import reference as events
from condsim.engine.closed_form import Kernels


@st.composite
def tables(draw: st.DrawFn) -> Kernels:
    n = draw(st.integers(1, 30))
    times = st.floats(0, 1e-3, allow_nan=False)
    return Kernels(
        np.array(draw(st.lists(times, min_size=n, max_size=n))),
        np.array(draw(st.lists(times, min_size=n, max_size=n))),
        np.array(draw(st.lists(st.integers(0, 2), min_size=n, max_size=n))),
        np.array(draw(st.lists(st.booleans(), min_size=n, max_size=n))),
    )


@settings(max_examples=60)
@given(tables())
def test_closed_form_equals_events(table: Kernels) -> None:
    for closed, simulated in zip(engine.run(table), events.run(table), strict=True):
        np.testing.assert_allclose(closed, simulated, rtol=0, atol=1e-9)


@settings(max_examples=30)
@given(tables(), st.floats(1.0, 3.0))
def test_slower_kernels_never_end_sooner(table: Kernels, factor: float) -> None:
    slower = Kernels(table.host_s, table.device_s * factor, table.stream, table.sync)
    assert engine.run(slower)[2] >= engine.run(table)[2] - 1e-12


@settings(max_examples=30)
@given(tables())
def test_everything_synchronising_is_a_sum(table: Kernels) -> None:
    one_clock = Kernels(
        table.host_s, table.device_s, table.stream, np.ones(len(table.host_s), bool)
    )
    assert engine.run(one_clock)[2] == np.float64(engine.run(one_clock)[2])
    np.testing.assert_allclose(
        engine.run(one_clock)[2], (table.host_s + table.device_s).sum(), rtol=1e-12, atol=1e-15
    )


def test_many_runs_at_once_equal_one_by_one() -> None:
    rng = np.random.default_rng(0)
    host, device = rng.random((5, 40)), rng.random((5, 40))
    stream, sync = rng.integers(0, 2, 40), rng.random(40) < 0.2
    together = engine.run(Kernels(host, device, stream, sync))[2]
    alone = [engine.run(Kernels(host[i], device[i], stream, sync))[2] for i in range(5)]
    np.testing.assert_allclose(together, alone)
