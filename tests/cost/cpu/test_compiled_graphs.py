"""What a CPU takes under torch.compile: arithmetic of what was joined, and the host's time.

The host pays for graphs, kernels and products.
"""

from __future__ import annotations

from pathlib import Path

import pytest

import condsim
from condsim.cost.cpu.compiled_graphs import (
    beginning_seconds,
    call_seconds,
    graph_beginnings,
    joined_seconds,
)
from condsim.cost.cpu.operator_time import OperatorTime, operator_time
from condsim.cost.hot import SizedOperator
from condsim.errors import CondsimError
from condsim.hardware import HardwareProfile, load_profile
from condsim.lowered import Visit
from condsim.program import JOINED, Dim, Op, Program, Scope, Tensor
from condsim.runtimes.fusion import drop_weight_gathers

ROOT = Path(__file__).parents[3]
CALIBRATED = ROOT / "benchmarks" / "runs" / "2026-11-28-c" / "profile.yaml"
HOT = OperatorTime(5e-6, 2e-6, "calibrated", "add")


@pytest.fixture(scope="module")
def profile() -> HardwareProfile:
    calibrated = load_profile(CALIBRATED)
    costs = {"compiled.graph": 3e-5, "compiled.kernel": 1e-6, "compiled.product": 4e-6}
    return calibrated.model_copy(update={"extra_s": calibrated.extra_s | costs})


@pytest.mark.parametrize(
    ("name", "begins", "seconds"),
    [
        ("add", False, 1e-6),
        ("softmax", True, 3.1e-5),
        ("linear", False, 4e-6),
        ("linear", True, 3.4e-5),
        ("topk", False, 2e-6),
    ],
)
def test_the_host_pays_for_graphs_kernels_and_products(
    name: str, begins: bool, seconds: float, profile: HardwareProfile
) -> None:
    begins_s = beginning_seconds(profile) if begins else 0.0
    call_s = call_seconds(Op(name, (), ()), HOT, profile)
    assert begins_s + call_s == pytest.approx(seconds)
    assert call_seconds(Op(name, (), (), view=True), HOT, profile) == 0


def test_what_joins_costs_its_arithmetic(profile: HardwareProfile) -> None:
    shapes = [(512, 1024)]

    def joined(name: str) -> OperatorTime:
        return joined_seconds(Op(f"{name}{JOINED}", (), (), view=True), shapes, shapes, profile)

    gelu, add, relu = joined("gelu"), joined("add"), joined("relu")
    alone, copy = (
        operator_time(SizedOperator(name, shapes, shapes), profile) for name in ("gelu", "clone")
    )
    arithmetic_s = alone.seconds - alone.dispatch - copy.seconds + copy.dispatch
    assert gelu.seconds == pytest.approx(arithmetic_s)
    assert gelu.dispatch == add.dispatch == 0
    assert 0 <= relu.seconds < add.seconds < gelu.seconds  # an addition reads another tensor


def test_a_graph_begins_where_a_guard_does() -> None:
    def call(
        number: int, guards: tuple[tuple[str, int], ...] = (), view: bool = False, role: str = ""
    ) -> Visit:
        return Visit(Op("add", (), (), view=view, role=role), guards, (0, number))

    calls = [
        call(0),
        call(1),
        call(2, role="router:a"),
        call(3, (("a", 1),), view=True),
        call(4, (("a", 1),)),
        call(5, (("a", 1),)),
        call(6),
    ]
    assert graph_beginnings(calls) == {(0, 0), (0, 2), (0, 4), (0, 6)}


def test_a_profile_without_graphs_is_refused() -> None:
    trace = condsim.load(ROOT / "traces" / "exit-fashion")
    refusal = r"says nothing of compiled graphs: `condsim calibrate --compiled`"
    with pytest.raises(CondsimError, match=refusal):
        condsim.simulate(trace, load_profile(CALIBRATED), runtime="compiled")


def test_a_prediction_of_compiled_graphs_adds_up(profile: HardwareProfile) -> None:
    trace = condsim.load(ROOT / "traces" / "exit-fashion")
    eager = condsim.simulate(trace, profile, runtime="eager", protocol="repeat")
    graphs = condsim.simulate(trace, profile, runtime="compiled", protocol="repeat")
    assert graphs.runtime == "compiled"
    assert graphs.estimated.keys() <= {"calibrated", "estimated", "extrapolated"}
    assert 0 < graphs.latency_s < 1.5 * eager.latency_s
    by_side = graphs.segments.groupby("side")["seconds"].sum()
    assert by_side["conditional"] == pytest.approx(graphs.latency_s)


def test_both_engines_agree_on_compiled_graphs(profile: HardwareProfile) -> None:
    trace = condsim.load(ROOT / "traces" / "exit-fashion")
    closed, events = (
        condsim.simulate(trace, profile, runtime="compiled", engine=engine, steps=[0])
        for engine in ("closed", "events")
    )
    assert events.latency_s == pytest.approx(closed.latency_s, rel=0.01)


def test_weights_are_looked_up_by_products_of_single_rows_only() -> None:
    rows, width = Dim.product(1, "batch"), Dim(64)
    weights = Tensor((Dim(8), width, width), "float", "experts")
    copied = Tensor((rows, width, width), "float")
    allocs = ((Dim.product(4096, "batch"), "float"),)
    lookup = Op("index", (weights, Tensor((rows,), "int64")), (copied,), allocs=allocs)

    def names(rows_of_product: Dim) -> list[str]:
        x = Tensor((rows, rows_of_product, width), "float")
        product = Op("bmm", (x, copied), (x,))
        program = Program("batched", "prefill-n", Scope((lookup, product), ()))
        nodes = drop_weight_gathers(program).root.nodes
        return [node.name for node in nodes if isinstance(node, Op)]

    assert names(Dim(1)) == ["index.joined", "bmm"]
    assert names(Dim(4)) == ["index", "bmm"]
