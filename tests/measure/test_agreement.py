"""A model that does not decide as its trace says is not timed."""

from __future__ import annotations

import numpy as np
import pytest

from condsim.errors import CondsimError
from condsim.live.execution import Execution
from condsim.live.inputs import Batch
from condsim.measure.agreement import (
    checked_steps,
    compare_decisions,
    disagreement,
    learn_sites,
)
from condsim.measure.plan import Plan
from condsim.measure.replay import Captured, Replay
from condsim.mechanisms import MECHANISMS

COMPACTED = {"early_exit": "compacted"}


def with_inputs(captured: Captured, factors: list[float]) -> Captured:
    """The same with the first row of each batch multiplied by a factor."""
    inputs = []
    for batch, factor in zip(captured.inputs, factors, strict=True):
        rows = batch.args[0].clone()
        rows[0] *= factor
        inputs.append(Batch((rows,), {}, batch.units, batch.seq))
    return Captured(captured.trace, captured.live, inputs)


def indices(captured: Captured, plan: Plan) -> list[int]:
    """Which steps are chosen to be timed."""
    replay = Replay(captured, None, "prefill")
    protocol = plan.protocol_of(captured.trace, "prefill")
    return [step.index for step in checked_steps(replay, COMPACTED, plan, protocol)]


def test_replayed_steps_decide_as_they_were_captured(leaving: Captured) -> None:
    replay = Replay(leaving, 12, "prefill")
    for index in range(len(replay)):
        step = replay.step(index)
        execution = Execution(observed={})
        leaving.live.run(step.batch, execution)
        assert execution.observed is not None
        compared = compare_decisions(leaving.trace, step, execution.observed)
        assert compared == {"exit0": (0, 12)}


def test_a_site_that_never_ran_differs_in_all_rows(leaving: Captured) -> None:
    step = Replay(leaving, 12, "prefill").step(0)
    assert compare_decisions(leaving.trace, step, {}) == {"exit0": (12, 12)}


def test_the_steps_to_time_are_spread_evenly(leaving: Captured) -> None:
    assert indices(leaving, Plan(steps=1)) == [0]
    assert indices(leaving, Plan(steps=3)) == [0, 2, 5]
    assert indices(leaving, Plan(steps=60)) == [0, 1, 2, 3, 4, 5]
    assert indices(leaving, Plan(protocol="stream", pairs=4)) == [0, 1, 2, 3]


def test_a_step_at_the_edge_is_replaced(leaving: Captured) -> None:
    first_differs = with_inputs(leaving, [-1, 1, 1, 1, 1, 1])
    assert indices(first_differs, Plan(steps=3)) == [1, 2, 5]


def test_a_step_without_a_replacement_is_an_error(leaving: Captured) -> None:
    last_differs = with_inputs(leaving, [1, 1, 1, 1, 1, -1])
    with pytest.raises(CondsimError, match=r"1 of 8 decisions in step 5 \(batch 8, compacted\)"):
        indices(last_differs, Plan(steps=3))


def test_forced_decisions_allow_a_few_that_differ(leaving: Captured) -> None:
    one_in_eight = with_inputs(leaving, [-1, -1, -1, -1, -1, -1])
    assert indices(one_in_eight, Plan(steps=3, decisions="trace")) == [0, 2, 5]
    negated = [Batch((-b.args[0],), {}, b.units, b.seq) for b in leaving.inputs]
    other_inputs = Captured(leaving.trace, leaving.live, negated)
    with pytest.raises(CondsimError, match="not the model and inputs that were captured"):
        indices(other_inputs, Plan(decisions="trace"))


def test_a_model_of_other_sites_is_refused(leaving: Captured, talking: Captured) -> None:
    mixed = Captured(leaving.trace, talking.live, talking.inputs)
    with pytest.raises(CondsimError, match=r"site '\w+' is only in the (model|trace)"):
        learn_sites(mixed)


def test_the_order_of_a_rows_experts_does_not_matter() -> None:
    moe = MECHANISMS["moe"]
    recorded = np.array([[0, 1], [2, 3], [-1, -1]])
    assert disagreement(moe, recorded, np.array([[1, 0], [3, 2]])) == (0, 2)
    assert disagreement(moe, recorded, np.array([[1, 0], [3, 1]])) == (1, 2)
    assert disagreement(moe, recorded, np.array([[1, 0], [3, 2], [5, 6]])) == (0, 2)


def test_each_bit_of_a_row_is_a_decision() -> None:
    sparse = MECHANISMS["sparse_activation"]
    recorded = np.array([[True, False, True], [False, False, True]])
    observed = np.array([[True, True, True], [False, False, False]])
    assert disagreement(sparse, recorded, observed) == (2, 6)


def test_a_site_without_rows_in_a_step_differs_in_none() -> None:
    nothing = np.zeros((0, 1), np.int16)
    assert disagreement(MECHANISMS["moe"], nothing, nothing) == (0, 0)
    assert disagreement(MECHANISMS["moe"], nothing[:, 0], nothing) == (0, 0)


def test_missing_rows_all_differ() -> None:
    leaves = MECHANISMS["early_exit"]
    recorded = np.array([0, 1, -1, 1])
    assert disagreement(leaves, recorded, np.array([0, 1])) == (3, 3)
    assert disagreement(leaves, np.array([-1, -1]), np.array([], int)) == (0, 0)
