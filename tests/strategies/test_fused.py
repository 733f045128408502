"""Strategy fused on captured traces: the same products and FLOPs as grouped, less memory, fewer
kernels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import condsim
from condsim.errors import CondsimError
from condsim.lower import lower
from condsim.lowered import Call
from condsim.predict.choose import program_of
from condsim.program import Op, Program, Scope
from condsim.steps.rebatch import rebatch, site_rules
from condsim.strategies.fused import rewritten
from condsim.trace import Trace

GPU = "nvidia-h100-sxm"


@pytest.fixture(scope="module")
def trace() -> Trace:
    return condsim.load(Path(__file__).parents[2] / "traces" / "moe-bytes")


def calls(trace: Trace, strategy: str, batch: int = 8) -> list[Call]:
    cut = rebatch(trace, batch)
    return [
        c
        for c in lower(
            program_of(trace, {"moe": strategy}, cut.regime),
            site_rules(trace),
            {"moe": strategy},
            cut.steps.step(0),
        ).sequence()
        if not c.op.view
    ]


def test_each_grouped_product_becomes_a_fused_one_of_the_same_size(trace: Trace) -> None:
    fused, grouped = calls(trace, "fused"), calls(trace, "grouped")
    products = [c for c in fused if c.op.name == "fused_moe_mm"]
    before = [c for c in grouped if c.op.name == "_grouped_mm"]
    assert len(products) == len(before) > 0
    for new, old in zip(products, before, strict=True):
        assert new.op.outputs[0].shape(new.bindings) == old.op.outputs[0].shape(old.bindings)
        experts, n, k = new.op.inputs[1].shape(new.bindings)
        assert (experts, k, n) == old.op.inputs[1].shape(old.bindings)
    tokens = [c.op.inputs[0].shape(c.bindings)[0] / c.op.params[0] for c in products]
    assert len(set(tokens)) == 1


def test_nothing_is_copied_into_the_order_of_experts(trace: Trace) -> None:
    outside = [c.op.name for c in calls(trace, "grouped") if not c.op.site and not c.op.role]
    assert [c.op.name for c in calls(trace, "fused") if not c.op.site and not c.op.role] == outside
    assert not {"index", "index_put_", "sort", "_grouped_mm"} & {
        c.op.name for c in calls(trace, "fused") if c.op.site
    }


@pytest.mark.parametrize("runtime", ["eager", "compiled", "cuda_graphs"])
@pytest.mark.parametrize("batch", [1, 8])
def test_it_is_faster_than_grouped_with_equal_flops_and_less_memory(
    trace: Trace, runtime: str, batch: int
) -> None:
    fused, grouped = (
        condsim.simulate(trace, GPU, s, batch, runtime=runtime) for s in ("fused", "grouped")
    )
    assert fused.executed_flops == grouped.executed_flops
    assert fused.baseline_s == grouped.baseline_s
    assert fused.latency_s < grouped.latency_s
    assert fused.peak_bytes <= grouped.peak_bytes


def test_the_engines_agree_on_it(trace: Trace) -> None:
    closed, events = (
        condsim.simulate(trace, GPU, "fused", 8, steps=[0, 1], runtime="cuda_graphs", engine=e)
        for e in ("closed", "events")
    )
    np.testing.assert_allclose(
        closed.steps["conditional_s"], events.steps["conditional_s"], rtol=1e-9
    )


def test_graphs_cost_the_host_nothing_and_looped_experts_cannot_be_recorded(trace: Trace) -> None:
    eager, graphs = (
        condsim.simulate(trace, GPU, "fused", 8, runtime=r) for r in ("eager", "cuda_graphs")
    )
    assert graphs.latency_s < eager.latency_s
    with pytest.raises(CondsimError, match=r"'looped' needs sizes that follow the data.*fused"):
        condsim.simulate(trace, GPU, "looped", 8, runtime="cuda_graphs")


def test_looped_experts_in_eager_lose_most_to_launches(trace: Trace) -> None:
    factors = condsim.simulate(trace, GPU, "looped", 8).waterfall.set_index("world")["factor"]
    assert factors.drop("flops").idxmin() == "launch"
    free = condsim.hardware(GPU).replace(
        **{f"host.{h}": 1e-15 for h in ("dispatch", "view", "module_call", "synchronise")},
        **{"gpu.kernel_s": 1e-15},
    )
    assert condsim.simulate(trace, free, "looped", 8).waterfall.set_index("world").loc[
        "launch", "factor"
    ] == pytest.approx(1.0, abs=0.02)


def test_one_sequence_is_weight_traffic_where_memory_is_slow(trace: Trace) -> None:
    """At batch 1 the experts that are touched are read, and nothing else takes as long; with an
    endless memory it is gone. L2 is smaller than the layers."""
    small = condsim.hardware(GPU).replace(
        **{"memory.l2.bytes": 6e5, "gpu.kernel_s": 1e-12, "gpu.tile_s": 1e-12}
    )
    for bandwidth, weights in ((3e10, True), (1e24, False)):
        p = condsim.simulate(
            trace,
            small.replace(**{"memory.hbm.bandwidth": bandwidth}),
            "fused",
            1,
            runtime="cuda_graphs",
            steps=[0, 1],
        )
        seconds = p.waterfall.set_index("world")["conditional_s"]
        assert (seconds.idxmax() == "weight_traffic") == weights
    assert seconds["weight_traffic"] == pytest.approx(0.0, abs=1e-12)


def test_a_program_without_grouped_products_is_refused() -> None:
    with pytest.raises(CondsimError, match="'moe' does not run as grouped products"):
        rewritten(Program("grouped", "prefill-n", Scope((Op("linear", (), (), site="moe"),))))
