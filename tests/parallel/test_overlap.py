"""Work beside exchanges: never later than in turn, never earlier than what it waits for."""

from __future__ import annotations

import numpy as np
import simpy
from hypothesis import given, settings
from hypothesis import strategies as st

from condsim.parallel.overlap import overlapped
from condsim.parallel.schedule import Schedule


@st.composite
def systems(draw: st.DrawFn) -> tuple[Schedule, np.ndarray]:
    ranks, stages = draw(st.integers(1, 5)), draw(st.integers(1, 7))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    stages_s = rng.exponential(1e-3, (1, ranks, stages))
    exchanges_s = rng.exponential(1e-3, (1, stages - 1))
    beside_s = rng.exponential(draw(st.floats(1e-5, 1e-2)), (1, ranks, stages - 1))
    return Schedule(stages_s, exchanges_s), beside_s


def by_events(schedule: Schedule, beside_s: np.ndarray) -> float:
    """When SimPy ends a step: a rank goes on when the exchange, and what it does beside it, end."""
    env = simpy.Environment()
    _, ranks, stages = schedule.stages_s.shape
    arrived = [[env.event() for _ in range(ranks)] for _ in range(stages)]
    exchanged = [env.event() for _ in range(stages)]

    def exchange(stage: int):
        yield env.all_of(arrived[stage])
        yield env.timeout(float(schedule.exchanges_s[0, stage]))
        exchanged[stage].succeed()

    def work(rank: int):
        for stage in range(stages):
            yield env.timeout(float(schedule.stages_s[0, rank, stage]))
            arrived[stage][rank].succeed()
            if stage < stages - 1:
                yield env.timeout(float(beside_s[0, rank, stage]))
                yield exchanged[stage]

    for stage in range(stages - 1):
        env.process(exchange(stage))
    for rank in range(ranks):
        env.process(work(rank))
    env.run()
    return float(env.now)


@settings(max_examples=40)
@given(systems())
def test_the_closed_form_equals_events(system: tuple[Schedule, np.ndarray]) -> None:
    schedule, beside_s = system
    found = overlapped(schedule, beside_s).seconds[0]
    np.testing.assert_allclose(found, by_events(schedule, beside_s), rtol=0, atol=1e-9)


@settings(max_examples=40)
@given(systems())
def test_it_is_between_free_and_in_turn(system: tuple[Schedule, np.ndarray]) -> None:
    schedule, beside_s = system
    together = overlapped(schedule, beside_s)
    after = schedule.stages_s.copy()
    after[:, :, 1:] += beside_s
    in_turn = Schedule(after, schedule.exchanges_s)
    assert schedule.seconds <= together.seconds + 1e-15
    assert together.seconds <= in_turn.seconds + 1e-15
    accounted = together.busy_s + together.waiting_s + together.exposed_s
    np.testing.assert_allclose(
        accounted, np.broadcast_to(together.seconds[:, None], (1, after.shape[1]))
    )
    np.testing.assert_allclose(together.busy_s, in_turn.busy_s)
