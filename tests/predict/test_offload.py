"""Experts in the host's memory: closed forms in the limits, no deadlock, and the shipped mixture
of experts."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import condsim
from condsim.engine import closed_form as engine
from condsim.engine import reference as events
from condsim.engine.closed_form import Issued
from condsim.engine.expert_cache import Offloaded
from condsim.errors import CondsimError
from condsim.hardware import hardware
from condsim.resources import resource
from condsim.trace import Trace

ENDLESS = 1e30


def table(host: list[float], device: list[float], sync: list[bool] | None = None) -> Issued:
    n = len(host)
    return Issued(np.array(host), np.array(device), np.zeros(n, int), np.array(sync or [False] * n))


def away(
    needs: list[int | None],
    room: float,
    bandwidth: float = 1.0,
    latency: float = 0.0,
    ahead: dict[int, list[int]] | None = None,
) -> Offloaded:
    """Experts of one byte each."""
    return Offloaded(needs, dict.fromkeys(range(8), 1.0), room, bandwidth, latency, ahead or {})


Rows = list[tuple[float, float, bool, int | None]]
random_tables = st.lists(
    st.tuples(
        st.floats(0.001, 2),
        st.floats(0.001, 2),
        st.booleans(),
        st.one_of(st.none(), st.integers(0, 7)),
    ),
    min_size=1,
    max_size=40,
)


@given(
    random_tables,
    st.sampled_from([0.0, 1.0, 2.5, 8.0]),
    st.dictionaries(st.integers(0, 39), st.lists(st.integers(0, 7), max_size=3), max_size=6),
)
def test_it_always_ends_and_never_before_a_device_that_has_all(
    rows: Rows, room: float, ahead: dict[int, list[int]]
) -> None:
    kernels = table([r[0] for r in rows], [r[1] for r in rows], [r[2] for r in rows])
    needs = [r[3] for r in rows]
    plain = float(engine.run(kernels)[2])
    assert events.run(kernels, away(needs, room, ahead=ahead))[2] >= plain - 1e-9
    assert events.run(kernels, away(needs, room, ENDLESS))[2] == pytest.approx(plain, rel=1e-9)


@given(random_tables, st.sampled_from([0.0, 1.0, 3.0]))
@settings(max_examples=50)
def test_a_faster_link_is_never_slower_where_each_kernel_is_waited_for(
    rows: Rows, room: float
) -> None:
    kernels = table([r[0] for r in rows], [r[1] for r in rows], [True] * len(rows))
    ends = [
        events.run(kernels, away([r[3] for r in rows], room, b))[2]
        for b in (0.3, 1.0, 4.0, ENDLESS)
    ]
    assert all(b <= a + 1e-9 for a, b in itertools.pairwise(ends))


@pytest.mark.parametrize("device", [0.25, 1.0, 3.0])
def test_room_for_one_adds_copies_and_room_for_all_overlaps_them(device: float) -> None:
    n, copy = 6, 1.5
    kernels = table([0.0] * n, [device] * n)
    needs: list[int | None] = list(range(n))
    assert events.run(kernels, away(needs, 1.0, latency=0.5))[2] == pytest.approx(
        n * (copy + device)
    )
    overlapped = 0.0
    for i in range(n):
        overlapped = max((i + 1) * copy, overlapped) + device
    assert events.run(kernels, away(needs, 8.0, latency=0.5))[2] == pytest.approx(overlapped)


def test_the_least_recently_used_one_leaves() -> None:
    kernels = table([10.0] * 5, [1.0] * 5, [True] * 5)
    once = away([0, 1, 0, 2, 0], 2.0)  # 1 leaves for 2
    again = away([0, 1, 0, 2, 1], 2.0)  # so that 1 must be copied again
    assert events.run(kernels, again)[2] - events.run(kernels, once)[2] == pytest.approx(1.0)


def test_prefetch_hides_a_copy_behind_other_kernels() -> None:
    kernels = table([0.0, 0.0], [5.0, 1.0], [True, True])
    assert events.run(kernels, away([None, 3], 8.0))[2] == pytest.approx(7.0)
    assert events.run(kernels, away([None, 3], 8.0, ahead={0: [3]}))[2] == pytest.approx(6.0)


@pytest.fixture(scope="module")
def moe() -> Trace:
    return condsim.load(resource("traces") / "moe-bytes")


def test_a_device_with_room_for_all_runs_what_looped_runs(moe: Trace) -> None:
    steps = [0, 1]
    looped, offloaded = (
        condsim.simulate(moe, "nvidia-h100-sxm", s, 1, steps=steps) for s in ("looped", "offloaded")
    )
    np.testing.assert_allclose(
        offloaded.steps["conditional_s"], looped.steps["conditional_s"], rtol=1e-9
    )
    assert offloaded.peak_bytes == looped.peak_bytes


def test_a_slow_link_is_what_it_then_loses_most_to(moe: Trace) -> None:
    steps = [0, 1]
    h100 = hardware("nvidia-h100-sxm")
    slow = h100.replace(**{"links.host": 1e8})
    fast, held, starved = (
        condsim.simulate(moe, p, "offloaded", 1, steps=steps, expert_cache=c)
        for p, c in ((h100, 0.0), (slow, 1.0), (slow, 0.0))
    )
    assert starved.main_loss == "communication"
    assert starved.latency_s > 2 * fast.latency_s
    assert held.waterfall.set_index("world").loc["communication", "factor"] == 1.0
    assert starved.peak_bytes < held.peak_bytes
    assert starved.waterfall["factor"].prod() == pytest.approx(starved.speedup)


def test_what_cannot_be_is_said(moe: Trace) -> None:
    h100 = hardware("nvidia-h100-sxm")
    with pytest.raises(
        CondsimError, match=r"expert_cache is a share of the experts, from 0 to 1, got 2"
    ):
        condsim.simulate(moe, h100, "offloaded", 1, expert_cache=2)
    with pytest.raises(CondsimError, match=r"has no links.host"):
        condsim.simulate(moe, h100.model_copy(update={"links": {}}), "offloaded", 1, steps=[0])
