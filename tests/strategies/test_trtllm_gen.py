"""Strategy trtllm_gen on a captured trace: the products of grouped, and none of what sorts rows."""

from __future__ import annotations

from pathlib import Path

import pytest

import condsim
from condsim.errors import CondsimError
from condsim.predict.choose import program_of, strategies_on
from condsim.program import Op
from condsim.trace import Trace

BLACKWELL, HOPPER = "nvidia-b200", "nvidia-h100-sxm"
WEIGHTS = "mxfp4_mxfp8"


@pytest.fixture(scope="module")
def trace() -> Trace:
    return condsim.load(Path(__file__).parents[2] / "traces" / "moe-bytes")


def of_sites(trace: Trace, strategy: str) -> list[Op]:
    """The operators of the experts that run."""
    program = program_of(trace, {"moe": strategy}, "prefill-n")
    nodes = [node for node in program.root.nodes if isinstance(node, Op)]
    return [op for op in nodes if op.site and not op.view]


def test_a_site_is_two_products_and_a_sum(trace: Trace) -> None:
    names = [op.name for op in of_sites(trace, "trtllm_gen")]
    sites = len(trace.sites)
    assert names == ["trtllm_gen_mm", "trtllm_gen_mm", "moe_sum"] * sites


def test_products_are_those_of_grouped(trace: Trace) -> None:
    products = [op for op in of_sites(trace, "trtllm_gen") if op.name == "trtllm_gen_mm"]
    before = [op for op in of_sites(trace, "grouped") if op.name == "_grouped_mm"]
    for new, old in zip(products, before, strict=True):
        experts, k, n = old.inputs[1].dims
        assert new.inputs[1].dims == (experts, n, k)
        assert new.outputs[0].dims == old.outputs[0].dims
    assert [op.params for op in products[:2]] == [(1,), (0,)]


def test_it_is_what_serves_weights_of_its_format(trace: Trace) -> None:
    served = condsim.simulate(trace, BLACKWELL, runtime="served", weights=WEIGHTS)
    assert served.strategy == "trtllm_gen"
    sorting = condsim.simulate(trace, BLACKWELL, "fused", runtime="served", weights=WEIGHTS)
    assert served.latency_s < sorting.latency_s
    assert served.executed_flops == sorting.executed_flops
    assert any("compute in fp8" in note for note in served.notes)


def test_other_devices_lack_it(trace: Trace) -> None:
    assert "trtllm_gen" not in strategies_on(trace, condsim.hardware(HOPPER), "cuda_graphs")
    assert "trtllm_gen" in strategies_on(trace, condsim.hardware(BLACKWELL), "cuda_graphs")
    refused = "'nvidia-h100-sxm' has no kernels of strategy 'trtllm_gen', which are for weights in"
    with pytest.raises(CondsimError, match=refused):
        condsim.simulate(trace, HOPPER, "trtllm_gen", runtime="cuda_graphs")
