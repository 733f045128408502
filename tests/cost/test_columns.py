"""Operators that are priced at once cost what each of them costs alone."""

from __future__ import annotations

import numpy as np
import pytest

import condsim
from condsim.cost.cost_model import device_model
from condsim.cost.device import Target
from condsim.cost.issued import IssuedModel, IssuedPricing
from condsim.lower import lower
from condsim.predict.choose import choose_strategies, program_of
from condsim.resources import resource
from condsim.runtimes import choose_runtime
from condsim.steps.rebatch import rebatch, site_rules

TRACES = ("branch-fashion", "exit-fashion", "moe-bytes", "skip-fashion", "sparse-bytes")


def pricings(name: str, batch: int) -> tuple[IssuedModel, list[IssuedPricing]]:
    """Both sides of a trace on the machine that it carries."""
    trace = condsim.load(resource("traces") / name)
    profile = trace.profile
    assert profile is not None
    model = device_model(Target(profile, profile.dtype, choose_runtime(None, profile)))
    assert isinstance(model, IssuedModel)
    cut = rebatch(trace, batch, phase="prefill")
    captured = choose_strategies(trace, None)
    begun = []
    for strategies in (captured, dict.fromkeys(captured, "same-params")):
        program = program_of(trace, strategies, cut.regime)
        begun.append(model.begin(lower(program, site_rules(trace), strategies, cut.steps)))
    return model, begun


@pytest.mark.parametrize("name", TRACES)
def test_operators_cost_together_what_they_cost_alone(name: str) -> None:
    model, sides = pricings(name, batch=3)
    operators = [sized for side in sides for sized in side.operators]
    together = model.costs(operators)
    for sized, cost in zip(operators, together, strict=True):
        (alone,) = IssuedModel.costs(model, [sized])
        assert (cost.names, cost.basis) == (alone.names, alone.basis)
        assert cost.cost.family == alone.cost.family
        np.testing.assert_allclose(cost.table, alone.table, rtol=1e-10, atol=1e-18)
        for read, expected in zip(cost.reads, alone.reads, strict=True):
            np.testing.assert_array_equal(read.bytes, expected.bytes)


@pytest.mark.parametrize("name", TRACES)
def test_no_bit_depends_on_what_is_priced_along(name: str) -> None:
    model, sides = pricings(name, batch=3)
    operators = [sized for side in sides for sized in side.operators]
    together = model.costs(operators)
    for sized, cost in zip(operators, together, strict=True):
        (alone,) = model.costs([sized])
        np.testing.assert_array_equal(cost.table, alone.table)


@pytest.mark.parametrize("name", TRACES)
def test_no_bit_depends_on_the_range_that_is_priced(name: str) -> None:
    model, sides = pricings(name, batch=3)
    operators = [sized for side in sides for sized in side.operators]
    assert any(sized.range is not None for sized in operators)
    for sized, in_range in zip(operators, model.known_costs(operators), strict=True):
        cost = sized.at_its_sizes(in_range)
        (alone,) = model.costs([sized])
        assert (cost.names, cost.basis) == (alone.names, alone.basis)
        np.testing.assert_array_equal(cost.table, alone.table)
        for read, expected in zip(cost.reads, alone.reads, strict=True):
            np.testing.assert_array_equal(read.bytes, expected.bytes)
            np.testing.assert_array_equal(read.rows, expected.rows)


def test_what_was_priced_ahead_is_not_priced_again(monkeypatch: pytest.MonkeyPatch) -> None:
    model, sides = pricings("moe-bytes", batch=3)
    model.price_ahead(sides)
    ahead = {sized.in_range.key for side in sides for sized in side.operators}
    assert ahead - {None} <= set(model.remembered.costs)
    priced_since: list[int] = []
    costs = model.costs
    monkeypatch.setattr(model, "costs", lambda new: priced_since.append(len(new)) or costs(new))
    sides[0].kernels()
    assert not priced_since
